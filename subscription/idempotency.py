"""Idempotent commands: a repeated command ID is recognized for at least 30 days (R22).

PostgreSQL stores every accepted ID with its response. A workflow also keeps the latest IDs, so that it need
not query the database for each command. The number of IDs in a workflow is bounded.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from subscription.business_calendar import Instant
from subscription.commands import Command
from subscription.model import Frozen
from subscription.refusals import Refusal, RefusalCode

REMEMBERED_FOR = timedelta(days=31)
MOST_RECENT = 200
"""The maximum number of IDs in a workflow: at 200 characters each, about 60 KB in the input of a run."""

ID_REUSED = Refusal.of(RefusalCode.COMMAND_ID_REUSED, "id")


class Known(StrEnum):
    """The result of a lookup of a command ID in the workflow; UNKNOWN requires a query to PostgreSQL."""

    NEW = "NEW"
    ACCEPTED = "ACCEPTED"
    UNKNOWN = "UNKNOWN"


class AcceptedCommand(Frozen):
    """The fingerprint of an accepted command, and the time by the subscription's clock."""

    fingerprint: str
    at: Instant


class RecentCommands(Frozen):
    """The latest accepted IDs. `dropped_at` is the acceptance time of the newest ID that was dropped."""

    accepted: Mapping[str, AcceptedCommand] = {}
    dropped_at: Instant | None = None

    def known(self, command: Command, now: datetime) -> Known | Refusal:
        """Return whether this command was accepted before; a refusal if its ID belongs to another command."""
        if command.id is None:
            return Known.NEW
        earlier = self.accepted.get(command.id)
        if earlier is not None:
            return Known.ACCEPTED if earlier.fingerprint == command.fingerprint() else ID_REUSED
        if self.dropped_at is not None and now - self.dropped_at < REMEMBERED_FOR:
            return Known.UNKNOWN
        return Known.NEW

    def adding(self, command: Command, now: datetime) -> "RecentCommands":
        """Return a copy with this command. Expired IDs are dropped, and the oldest if there are too many."""
        if command.id is None:
            return self
        kept = {
            id_: accepted
            for id_, accepted in self.accepted.items()
            if id_ != command.id and now - accepted.at < REMEMBERED_FOR
        }
        kept[command.id] = AcceptedCommand(fingerprint=command.fingerprint(), at=now)
        dropped_at = self.dropped_at
        while len(kept) > MOST_RECENT:
            dropped_at = kept.pop(next(iter(kept))).at
        return RecentCommands(accepted=kept, dropped_at=dropped_at)
