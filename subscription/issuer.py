"""The issuer of a command: its channel, and the name of the person or system."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field

from subscription.model import Frozen
from subscription.validation import has_control_characters

MAX_NAME = 200


class Channel(StrEnum):
    """The way by which a command arrived. It identifies no person, so it remains after erasure (R31)."""

    CONSOLE = "CONSOLE"
    """The customer, in the console."""
    API = "API"
    """The customer, with an API key."""
    OPERATOR = "OPERATOR"
    """An operator, in the console or with an API key; to customers, any of the operators' channels."""
    CLI = "CLI"
    """An operator, with `worksub`."""
    TEMPORAL = "TEMPORAL"
    """An update of a Temporal client without another channel."""
    SIGNAL = "SIGNAL"
    """A signal in Temporal."""
    BULK = "BULK"
    """A bulk run, which an operator has started."""
    SYSTEM = "SYSTEM"
    """No command: a deadline, or a domain check."""


_OPERATORS = frozenset({Channel.OPERATOR, Channel.CLI, Channel.TEMPORAL, Channel.SIGNAL, Channel.BULK})


class Issuer(Frozen):
    """The issuer of a command. `by` is the statement of its channel, and is not verified."""

    channel: Annotated[Channel, Field(strict=False)] = Channel.SYSTEM
    by: str | None = None

    @classmethod
    def of(cls, channel: Channel, name: str) -> Self:
        """Return the issuer, with a name that a command accepts."""
        name = "".join(each for each in name if not has_control_characters(each))
        return cls(channel=channel, by=name[:MAX_NAME] or None)

    def naming(self, by: str | None) -> Self:
        """Return the issuer with the name in the command as well, such as `kim, billing system`."""
        names = [by, self.by] if by != self.by else [by]
        return self.model_copy(update={"by": ", ".join(filter(None, names))[:MAX_NAME] or None})

    def shown_to_customer(self) -> Self:
        """Return the issuer without the names and the channels of operators."""
        return type(self)(channel=Channel.OPERATOR) if self.channel in _OPERATORS else self


SYSTEM = Issuer()
