"""Draft of a subscription request, stored in an encrypted cookie (R9).

Each draft has an ID, which is part of its URLs, and a separate cookie, so that two tabs share nothing. The
encryption key is deleted with the session, which makes the cookies unreadable. A draft contains only the
Argon2id hash of the password (R7).
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
"""Maximum number of drafts: a cookie has at most 2.5 kB, and proxies accept 8 kB of cookies."""
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
    "contact_email": 260,
}
"""Maximum stored length of each field: more than any rule allows, and small enough for a cookie."""


class Draft(Frozen):
    """Entered data of an unfinished request. `id` is the request ID, its idempotency key (R9).

    `completed` is the ID of the created subscription; the other entered data is then removed.
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
    contact_email: str = ""

    def entered(self, form: Mapping[str, str], *fields: str) -> "Draft":
        """Return the draft with these fields as entered, truncated to the stored length."""
        typed = {name: _cut(form.get(name, "").strip(), _MOST_BYTES[name]) for name in fields}
        return self.model_copy(update=typed)

    def as_request(self, customer_id: str) -> dict[str, Any]:
        """Return the fields of a subscription request, with empty values for fields not yet entered."""
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
            "contact_email": self.contact_email or None,
        }


def whole_number(text: str) -> int | None:
    """Return the entered whole number; None for other text.

    Large numbers are capped at a value above any limit of members.
    """
    if _WHOLE_NUMBER.fullmatch(text.strip()) is None:
        return None
    return min(int(text), 10**18)


def cookie_of(draft_id: str) -> str:
    return _COOKIE + draft_id


def encrypt_draft(draft: Draft, key: bytes) -> str:
    return Fernet(key).encrypt(draft.model_dump_json().encode()).decode()


def decrypt_draft(cookies: Mapping[str, str], draft_id: str, key: bytes) -> Draft | None:
    """Return the draft; None if it is too old, belongs to another session, or was modified."""
    if _ID.fullmatch(draft_id) is None:
        return None
    try:
        cookie = cookies.get(cookie_of(draft_id), "").encode()
        draft = Draft.model_validate_json(Fernet(key).decrypt(cookie, ttl=KEPT_SECONDS))
    except (InvalidToken, ValidationError):
        return None
    return draft if draft.id == draft_id else None


def cookies_in(cookies: Mapping[str, str]) -> list[str]:
    """Return the names of all draft cookies.

    Names that are not a valid draft ID are ignored: another site of the same domain can set cookies with
    any name, and some names cannot be deleted.
    """
    named = (name for name in cookies if name.startswith(_COOKIE))
    return [name for name in named if _ID.fullmatch(name.removeprefix(_COOKIE))]


def excess_cookies(cookies: Mapping[str, str], key: bytes) -> list[str]:
    """Return the cookies to delete before another draft is stored: unreadable ones, then the oldest."""
    ids = [name.removeprefix(_COOKIE) for name in cookies_in(cookies)]
    readable = [draft_id for draft_id in ids if decrypt_draft(cookies, draft_id, key)]
    readable.sort(key=lambda draft_id: Fernet(key).extract_timestamp(cookies[cookie_of(draft_id)].encode()))
    kept = readable[max(0, len(readable) - MOST_KEPT + 1) :]
    return [cookie_of(draft_id) for draft_id in ids if draft_id not in kept]


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore")
