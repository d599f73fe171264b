"""Resolution of the ID argument: a subscription ID, a prefix of it, or an account."""

from typing import TYPE_CHECKING

from entrypoints.cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from starter.status_queries import StatusQueries

_MAX_CANDIDATES = 10


async def resolve(queries: "StatusQueries", reference: str) -> str:
    """Return the ID of the matching subscription, or the reference itself if none matches.

    Raises `CommandError` with the candidates if several subscriptions match.
    """
    ids = await queries.meant_by(reference, limit=_MAX_CANDIDATES + 1)
    if len(ids) > 1:
        raise await _ambiguous(queries, reference, ids)
    return ids[0] if ids else reference


async def _ambiguous(queries: "StatusQueries", reference: str, ids: list[str]) -> CommandError:
    candidates = await queries.listed(ids[:_MAX_CANDIDATES])
    number = f"more than {_MAX_CANDIDATES}" if len(ids) > _MAX_CANDIDATES else str(len(ids))
    return CommandError(
        ExitCode.USAGE,
        "AMBIGUOUS_SUBSCRIPTION",
        f"{reference} matches {number} subscriptions:",
        field="subscription_id",
        problems=[
            {
                "field": candidate.subscription_id,
                "code": "CANDIDATE",
                "message": f"{candidate.account_name or 'erased'} of {candidate.customer_id}, "
                f"{candidate.state}",
            }
            for candidate in candidates
        ],
        advice="Specify a longer prefix of the ID, or the full ID.",
    )
