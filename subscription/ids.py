"""Subscription IDs and the workflow IDs made of them."""

from subscription.validation import has_control_characters

WORKFLOW_ID_PREFIX = "subscription-"
"""A subscription's workflow id is this and its subscription id."""


def is_subscription_id(text: str) -> bool:
    """Whether a subscription can have this id: 1 to 100 characters, none of them invisible."""
    return 1 <= len(text) <= 100 and not has_control_characters(text)


def subscription_id_of(workflow_id: str) -> str | None:
    """The subscription that a workflow carries; None for the jobs, which carry none."""
    if not workflow_id.startswith(WORKFLOW_ID_PREFIX):
        return None
    return workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
