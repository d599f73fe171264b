"""Digests that tie a confirmation to the page on which it was shown.

A form that confirms something carries the digest of all that its page says will follow. The server calculates
the digest again from what holds when the form arrives. If the two differ, nothing is done.
"""

import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

from pydantic_core import to_jsonable_python

from entrypoints.console.page_context import PageContext

FIELD = "shown"
"""The form field that carries the digest."""


def digest(visit: PageContext, purpose: str, *facts: Any, now: datetime | None = None) -> str:
    """Return the digest of these facts, for this purpose and this session.

    An event that would happen at once is dated `now`, which differs at each calculation. So `now` itself does
    not count; where its date matters, that is one of the facts.
    """
    assert visit.session is not None
    text = json.dumps(to_jsonable_python([purpose, *facts]), sort_keys=True)
    if now is not None:
        text = text.replace(json.dumps(to_jsonable_python(now)), '"now"')
    return hmac.new(visit.session.key, text.encode(), hashlib.sha256).hexdigest()


def is_as_shown(visit: PageContext, expected: str) -> bool:
    """Return whether the page of the form that was sent showed the facts of this digest."""
    return hmac.compare_digest(expected.encode(), visit.form.get(FIELD, "").encode())


def command_id(visit: PageContext) -> str:
    """Return the id under which a form that is sent twice is one command (R22); empty if it carries none."""
    return visit.form.get("command_id", "")[:100]


async def was_carried_out(visit: PageContext) -> bool:
    """Return whether this form's command has been accepted before, so that its answer can be given again."""
    sent = command_id(visit)
    return bool(sent) and await visit.desk.was_accepted(visit.subscription_id, sent)
