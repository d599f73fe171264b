"""Opaque IDs, subscription IDs, and the workflow IDs derived from them."""

import re

from subscription.validation import has_control_characters

WORKFLOW_ID_PREFIX = "subscription-"
"""A workflow ID consists of this prefix and the subscription ID."""


def opaque_id_pattern(max_length: int = 100) -> str:
    """Return the pattern of an opaque ID, which a caller chooses. It is also valid in JSON schemas."""
    return rf"^[A-Za-z0-9][A-Za-z0-9._:-]{{0,{max_length - 1}}}$"


_OPAQUE_ID = re.compile(opaque_id_pattern())


def is_opaque_id(text: str) -> bool:
    return _OPAQUE_ID.fullmatch(text) is not None


def is_subscription_id(text: str) -> bool:
    """Return whether the text is a valid subscription ID: 1 to 100 characters, none of them invisible."""
    return 1 <= len(text) <= 100 and not has_control_characters(text)


def subscription_id_of(workflow_id: str) -> str | None:
    """Return the ID of the workflow's subscription; None for the workflows of scheduled jobs."""
    if not workflow_id.startswith(WORKFLOW_ID_PREFIX):
        return None
    return workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
