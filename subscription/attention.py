"""Reasons why a subscription needs attention: a code, and a text for operators."""

import re
from enum import StrEnum
from typing import Any, Self

from subscription.business_calendar import Instant
from subscription.model import Frozen

ATTENTION_MEMO = "Attention"
"""The workflow memo with the reason; the search attribute NeedsAttention is set while there is one."""

# Neither "@" nor quotation marks: the reason is shown in lists and is kept until the workflow's retention
# ends, so it must not contain an email address, an account or a quoted value.
_REASON = re.compile(r"[\w .,:;/#()+-]{1,100}")


class AttentionKind(StrEnum):
    """A public interface, and a label of a metric."""

    EFFECT_FAILS = "EFFECT_FAILS"
    COMPARISON = "COMPARISON"
    OPERATOR = "OPERATOR"


class Attention(Frozen):
    """The reason of a mark, without personal data: an activity and its error type, codes, a ticket number.

    `since` is the time at which the mark was set, by the subscription's clock. It is None if a client, not
    the workflow, made the mark.
    """

    kind: AttentionKind
    reason: str | None = None
    since: Instant | None = None

    @property
    def text(self) -> str:
        return f"{self.kind}: {self.reason}" if self.reason else self.kind.value


class ShownAttention(Attention):
    """The reason of a mark, and the operator's next step."""

    advice: str

    @classmethod
    def of(cls, attention: Attention) -> Self:
        return cls(**attention.model_dump(), advice=_ADVICE[attention.kind])


_ADVICE = {
    AttentionKind.EFFECT_FAILS: "Fix the cause of the activity's error: it is in the worker's log and in "
    "Temporal's Web UI. The workflow retries the activity, and removes the mark when it succeeds.",
    AttentionKind.COMPARISON: "`worksub findings` shows what the comparison found. The next comparison that "
    "finds nothing removes the mark: `worksub schedules trigger reconcile`.",
    AttentionKind.OPERATOR: "Ask the operator who set the mark. The signal needs_attention with "
    '{"needed": false} removes it.',
}


def effect_fails(activity: str, error: str) -> Attention:
    return Attention(kind=AttentionKind.EFFECT_FAILS, reason=_accepted(f"{activity} fails with {error}"))


def read_attention(argument: Any) -> tuple[bool, Attention] | None:
    """Parse the signal's argument; return None if it does not say whether attention is needed.

    An invalid kind or reason is dropped instead of refused. Otherwise the mark itself would be lost.
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
