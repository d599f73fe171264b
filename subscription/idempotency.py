"""Idempotent commands: a repeated command ID is recognized for at least 30 days (R22).

PostgreSQL keeps every accepted id with its answer. A workflow knows the latest ones itself, so that it need
not ask for each command; what it knows has a bound, however many commands it is sent.
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
"""So many ids a workflow knows itself: at 200 characters each, some 60 KB in the input of a run."""

ID_REUSED = Refusal.of(RefusalCode.COMMAND_ID_REUSED, "id")


class Known(StrEnum):
    """What a workflow knows of a command's id without asking PostgreSQL."""

    NEW = "NEW"
    ACCEPTED = "ACCEPTED"
    UNKNOWN = "UNKNOWN"


class AcceptedCommand(Frozen):
    """That a command with this fingerprint was accepted, and when by the subscription's clock."""

    fingerprint: str
    at: Instant


class RecentCommands(Frozen):
    """The latest accepted ids; `dropped_at` is when the newest of those was accepted that are not here."""

    accepted: Mapping[str, AcceptedCommand] = {}
    dropped_at: Instant | None = None

    def known(self, command: Command, now: datetime) -> Known | Refusal:
        """Whether this very command was accepted before; refused if its id belongs to another one."""
        if command.id is None:
            return Known.NEW
        earlier = self.accepted.get(command.id)
        if earlier is not None:
            return Known.ACCEPTED if earlier.fingerprint == command.fingerprint() else ID_REUSED
        if self.dropped_at is not None and now - self.dropped_at < REMEMBERED_FOR:
            return Known.UNKNOWN
        return Known.NEW

    def adding(self, command: Command, now: datetime) -> "RecentCommands":
        """These and one more, without those of long ago; the oldest goes if there are too many."""
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
