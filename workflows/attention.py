"""Attention mark of a subscription: a search attribute, and a memo with the reason."""

from temporalio import workflow

from adapters.temporal.search_attributes import NEEDS_ATTENTION

with workflow.unsafe.imports_passed_through():
    from subscription.attention import ATTENTION_MEMO, Attention, AttentionKind


def set_needs_attention(attention: Attention | None) -> None:
    """Set the mark and its reason, or remove both; write nothing where they are so already.

    A mark that gets another reason keeps the time at which it was set.
    """
    if bool(workflow.info().typed_search_attributes.get(NEEDS_ATTENTION)) is not (attention is not None):
        workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(attention is not None)])
    shown = shown_attention()
    if attention is not None:
        since = shown.since if shown else workflow.now()
        attention = attention.model_copy(update={"since": since})
    if shown != attention:
        memo = attention.model_dump(mode="json") if attention else None
        workflow.upsert_memo({ATTENTION_MEMO: memo})


def shown_attention() -> Attention | None:
    """Return the reason that the memo of this run has.

    A client can start a workflow with any memo. One that is unreadable counts as a mark without a reason;
    raised, the error would fail every task of the workflow.
    """
    try:
        shown: Attention | None = workflow.memo_value(ATTENTION_MEMO, None, type_hint=Attention)
    except Exception:
        return Attention(kind=AttentionKind.OPERATOR)
    return shown
