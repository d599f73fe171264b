"""Digests that bind a confirmation form to the facts that its page showed (optimistic concurrency control).

A confirmation form contains the digest of all effects that its page showed. When the form arrives, the server
calculates the digest again from the current state. If the digests differ, the command is not executed.
"""

import hashlib
import hmac
import json
import uuid
from datetime import datetime
from typing import Any

from pydantic_core import to_jsonable_python

from entrypoints.console.page_context import PageContext

FIELD = "shown"
"""Form field of the digest."""


def digest(page: PageContext, purpose: str, *facts: Any, now: datetime | None = None) -> str:
    """Return the HMAC digest of these facts, for this purpose and this session.

    An event that would happen immediately has the time `now`, which differs at each calculation. `now` is
    therefore replaced by a constant. If its date matters, the caller passes the date as a fact.
    """
    assert page.session is not None
    text = json.dumps(to_jsonable_python([purpose, *facts]), sort_keys=True)
    if now is not None:
        text = text.replace(json.dumps(to_jsonable_python(now)), '"now"')
    return hmac.new(page.session.key, text.encode(), hashlib.sha256).hexdigest()


def is_as_shown(page: PageContext, expected: str) -> bool:
    """Return True if the page of the submitted form showed the facts of this digest."""
    return hmac.compare_digest(expected.encode(), page.form.get(FIELD, "").encode())


def new_command_id() -> str:
    """Return the command ID of a new form."""
    return str(uuid.uuid4())


def command_id(page: PageContext) -> str:
    """Return the form's command ID, its idempotency key (R22); empty if the form has none."""
    return page.form.get("command_id", "")[:100]


async def was_carried_out(page: PageContext) -> bool:
    """Return True if this form's command was accepted before, so that the original result can be shown."""
    sent = command_id(page)
    return bool(sent) and await page.client.was_accepted(page.subscription_id, sent)
