"""The command `status`. It imports only what a status needs, because it is run most often."""

from typing import TYPE_CHECKING, NamedTuple

import typer

from entrypoints.cli.options import AsJson, SubscriptionId, Watch
from entrypoints.cli.output import console, show_json, show_text, text_width
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from starter.status_queries import StatusQueries
    from subscription.attention import ShownAttention
    from subscription.erasure_certificate import ErasureCertificate
    from subscription.status import Status

app = typer.Typer()
_WATCH_SECONDS = 1.0


@app.command(rich_help_panel="Query a subscription")
def status(subscription_id: SubscriptionId, watch: Watch = False, as_json: AsJson = False) -> None:
    """Show the status and the next event of a subscription; after erasure, also the certificate."""
    with Session() as session:
        subscription_id = session.resolve_id(subscription_id)
        previous: CurrentStatus | None = None
        while True:
            current = session.run_status_query(lambda queries: _current_status(queries, subscription_id))
            if current != previous:
                _show_status(as_json, current, separated=previous is not None)
            if not watch or current.status.state.is_terminal:
                return
            previous = current
            session.wait(_WATCH_SECONDS)


class CurrentStatus(NamedTuple):
    status: "Status"
    certificates: "list[ErasureCertificate]"
    attention: "ShownAttention | None"


async def _current_status(queries: "StatusQueries", subscription_id: str) -> CurrentStatus:
    return CurrentStatus(
        await queries.status(subscription_id),
        await queries.certificates(subscription_id),
        await queries.attention(subscription_id),
    )


def _show_status(as_json: bool, current: CurrentStatus, *, separated: bool) -> None:
    if as_json:
        show_json(
            {
                **current.status.model_dump(mode="json"),
                "certificates": current.certificates,
                "attention": current.attention,
            }
        )
        return
    from entrypoints.cli.views.status import status_text

    if separated:
        print()
    show_text(status_text(current.status, current.attention, text_width()))
    if current.certificates:
        from entrypoints.cli.views.subscription import certificates_view

        console().print(certificates_view(current.certificates), crop=False)
