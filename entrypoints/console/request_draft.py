"""The request draft, kept in an encrypted cookie (R9).

Each draft has an id, which its pages have in their addresses, and a cookie of its own, so that two tabs share
nothing. When the session ends its key is deleted, and the cookies cannot be read any more. The password is in
them as its Argon2id hash alone (R7).
"""

import re
import uuid
from collections.abc import Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from pydantic import Field, ValidationError

from subscription.model import Frozen
from subscription.refusals import Problem, RefusalCode

KEPT_SECONDS = 3600
MOST_KEPT = 3
"""A draft's cookie has 2.5 kB at most, and proxies take 8 kB of cookies."""
_COOKIE = "request-draft-"
NOT_A_NUMBER = Problem.of(RefusalCode.WRONG_TYPE, "members", reason="WHOLE_NUMBER")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,100}")
_ID = re.compile(r"[0-9a-f-]{36}")
_MOST_BYTES = {
    "region": 10,
    "platform": 10,
    "plan": 64,
    "members": 30,
    "kind": 10,
    "group": 64,
    "domain": 260,
    "admin_id": 64,
    "company_name": 480,
    "company_phone": 60,
}
"""So much of each field is kept: more than any rule allows, and little enough for a cookie."""


class Draft(Frozen):
    """What has been entered so far. `id` is the request's, and makes one subscription of it (R9).

    `completed` is the subscription that came of it; nothing else that was entered is kept then.
    """

    id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    completed: str = ""
    region: str = "KR"
    platform: str = "VPC"
    plan: str = ""
    members: str = "1"
    agreed: tuple[tuple[str, str], ...] = ()
    kind: str = "GROUP"
    group: str = ""
    domain: str = ""
    admin_id: str = ""
    password_hash: str = ""
    company_name: str = ""
    company_phone: str = ""

    def entered(self, form: Mapping[str, str], *fields: str) -> "Draft":
        """Return the draft with these fields as they were typed, cut to what is kept."""
        typed = {name: _cut(form.get(name, "").strip(), _MOST_BYTES[name]) for name in fields}
        return self.model_copy(update=typed)

    def as_request(self, customer_id: str) -> dict[str, Any]:
        """Return the fields of a request, as far as they have been entered."""
        name = self.domain if self.kind == "DOMAIN" else self.group
        return {
            "request_id": self.id,
            "customer_id": customer_id,
            "region": self.region,
            "platform": self.platform,
            "plan": self.plan,
            "members": whole_number(self.members) or 0,
            "agreed_terms": [{"id": term, "version": version} for term, version in self.agreed],
            "account": {self.kind.lower(): name},
            "admin_id": self.admin_id,
            "password_hash": self.password_hash,
            "company_name": self.company_name,
            "company_phone": self.company_phone,
        }


def whole_number(text: str) -> int | None:
    """Return the whole number that was typed; None for anything else.

    A number that is larger than any limit of members stays larger.
    """
    if _WHOLE_NUMBER.fullmatch(text.strip()) is None:
        return None
    return min(int(text), 10**18)


def cookie_of(draft_id: str) -> str:
    return _COOKIE + draft_id


def encrypt_draft(draft: Draft, key: bytes) -> str:
    return Fernet(key).encrypt(draft.model_dump_json().encode()).decode()


def decrypt_draft(cookies: Mapping[str, str], draft_id: str, key: bytes) -> Draft | None:
    """Return the draft; None for one that is too old, of another session, or has been changed."""
    if _ID.fullmatch(draft_id) is None:
        return None
    try:
        cookie = cookies.get(cookie_of(draft_id), "").encode()
        draft = Draft.model_validate_json(Fernet(key).decrypt(cookie, ttl=KEPT_SECONDS))
    except (InvalidToken, ValidationError):
        return None
    return draft if draft.id == draft_id else None


def cookies_in(cookies: Mapping[str, str]) -> list[str]:
    """Return the names of all cookies that keep drafts.

    Another site of the same domain can set cookies of any name, of which some could not be deleted.
    """
    named = (name for name in cookies if name.startswith(_COOKIE))
    return [name for name in named if _ID.fullmatch(name.removeprefix(_COOKIE))]


def in_excess(cookies: Mapping[str, str], key: bytes) -> list[str]:
    """Return the cookies that have to go before one more draft is kept: unreadable ones, then the oldest."""
    ids = [name.removeprefix(_COOKIE) for name in cookies_in(cookies)]
    readable = [draft_id for draft_id in ids if decrypt_draft(cookies, draft_id, key)]
    readable.sort(key=lambda draft_id: Fernet(key).extract_timestamp(cookies[cookie_of(draft_id)].encode()))
    kept = readable[max(0, len(readable) - MOST_KEPT + 1) :]
    return [cookie_of(draft_id) for draft_id in ids if draft_id not in kept]


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore")
