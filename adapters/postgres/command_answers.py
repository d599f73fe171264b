"""Stored answers to accepted commands, for idempotency (R22)."""

from adapters.postgres.read_only_pool import Reader
from subscription.activity_contracts import StoredAnswerInput, StoredAnswerResult
from subscription.timeline import Answer


async def stored_answer(reader: Reader, input: StoredAnswerInput) -> StoredAnswerResult:
    """Return the original answer to the command that was accepted under this ID, if any (R22)."""
    row = await reader.fetchrow(
        """
        SELECT answer, fingerprint = keyed_hash($3) AS same,
               $4::timestamptz IS NULL OR effective_at > $4 AS remembered
          FROM command_answers JOIN lifecycle_events USING (subscription_id, sequence)
         WHERE subscription_id = $1 AND command_id = $2
         ORDER BY sequence DESC LIMIT 1
        """,
        input.subscription_id,
        input.command_id,
        input.fingerprint,
        input.since,
    )
    if row is None:
        return StoredAnswerResult()
    if row["same"]:
        return StoredAnswerResult(answer=Answer.model_validate_json(row["answer"]))
    return StoredAnswerResult(reused=row["remembered"])
