"""`NeedsAttention` of a subscription: a search attribute, and a memo with the reason."""

from typing import Any

from temporalio import workflow

from adapters.temporal.search_attributes import NEEDS_ATTENTION

with workflow.unsafe.imports_passed_through():
    from subscription.attention import ATTENTION_MEMO, Attention, AttentionKind


def set_needs_attention(attention: Attention | None) -> None:
    """Set `NeedsAttention` and its reason, or clear both. Write nothing if they are unchanged.

    A changed reason keeps the time at which `NeedsAttention` was set.
    """
    if bool(workflow.info().typed_search_attributes.get(NEEDS_ATTENTION)) is not (attention is not None):
        workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(attention is not None)])
    current = current_attention()
    if attention is not None:
        since = current.since if current else workflow.now()
        attention = attention.model_copy(update={"since": since})
    if current != attention:
        workflow.upsert_memo(attention_memo(attention))


def attention_memo(attention: Attention | None) -> dict[str, Any]:
    """Return the memo with this reason; None deletes it. The server does not keep it for the next run."""
    return {ATTENTION_MEMO: attention.model_dump(mode="json") if attention else None}


def current_attention() -> Attention | None:
    """Return the reason in the memo of this run; None if `NeedsAttention` has no reason.

    A client can start a workflow with any memo. An unreadable memo counts as an unspecified reason. Raising
    the error would fail every task of the workflow.
    """
    try:
        current: Attention | None = workflow.memo_value(ATTENTION_MEMO, None, type_hint=Attention)
    except Exception:
        return Attention(kind=AttentionKind.OPERATOR)
    return current
