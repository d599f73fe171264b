"""The reason why a subscription needs attention: a kind, which is counted, and a short text for operators."""

import re
from enum import StrEnum
from typing import Any

from subscription.model import Frozen

ATTENTION_MEMO = "Attention"
"""The workflow's memo with the reason; the search attribute NeedsAttention says that there is one."""

# Neither "@" nor quotation marks: the reason is shown in lists and is kept until the workflow's retention
# ends, so it must not contain an email address, an account or a quoted value.
_REASON = re.compile(r"[\w .,:;/#()+-]{1,100}")


class AttentionKind(StrEnum):
    """A public interface, and a label of a metric."""

    EFFECT_FAILS = "EFFECT_FAILS"
    COMPARISON = "COMPARISON"
    OPERATOR = "OPERATOR"


class Attention(Frozen):
    """`reason` is not personal: an activity with its error type, codes of findings, a ticket's number."""

    kind: AttentionKind
    reason: str | None = None

    @property
    def words(self) -> str:
        return f"{self.kind}: {self.reason}" if self.reason else self.kind.value


def effect_fails(activity: str, error: str) -> Attention:
    return Attention(kind=AttentionKind.EFFECT_FAILS, reason=_accepted(f"{activity} fails with {error}"))


def read_attention(argument: Any) -> tuple[bool, Attention] | None:
    """Read the signal's argument; None if it does not say whether attention is needed.

    An unacceptable kind or reason is left out instead of refused, so that the mark itself is never lost.
    """
    if not isinstance(argument, dict) or not isinstance(argument.get("needed"), bool):
        return None
    kind = argument.get("kind")
    by_comparison = kind == AttentionKind.COMPARISON
    attention = Attention(
        kind=AttentionKind.COMPARISON if by_comparison else AttentionKind.OPERATOR,
        reason=_accepted(argument.get("reason")),
    )
    return argument["needed"], attention


def _accepted(reason: Any) -> str | None:
    return reason if isinstance(reason, str) and _REASON.fullmatch(reason) else None
