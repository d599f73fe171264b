"""An unfinished request, which only the browser keeps (R9): encrypted with its session's own key.

When the session ends its key is gone, and nobody can read the cookie any more. The password is in it as its
Argon2id hash alone (R7).
"""

import uuid
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from pydantic import Field, ValidationError

from subscription.model import Frozen

KEPT_SECONDS = 3600
COOKIE = "request-draft"


class Draft(Frozen):
    """What has been entered so far. `request_id` makes one subscription of it, however often it is sent."""

    request_id: str = Field(default_factory=lambda: str(uuid.uuid4()))
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

    def as_request(self, customer_id: str) -> dict[str, Any]:
        """The fields of a request, as far as they have been entered."""
        name = self.domain if self.kind == "DOMAIN" else self.group
        return {
            "request_id": self.request_id,
            "customer_id": customer_id,
            "region": self.region,
            "platform": self.platform,
            "plan": self.plan,
            "members": whole_number(self.members),
            "agreed_terms": [{"id": term, "version": version} for term, version in self.agreed],
            "account": {self.kind.lower(): name},
            "admin_id": self.admin_id,
            "password_hash": self.password_hash,
            "company_name": self.company_name,
            "company_phone": self.company_phone,
        }


def whole_number(text: str) -> int:
    """The number that was typed; 0, which no rule allows, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def sealed(draft: Draft, key: bytes) -> str:
    return Fernet(key).encrypt(draft.model_dump_json().encode()).decode()


def opened(cookie: str, key: bytes) -> Draft | None:
    """None for one that is too old, of another session, or has been changed."""
    try:
        return Draft.model_validate_json(Fernet(key).decrypt(cookie.encode(), ttl=KEPT_SECONDS))
    except (InvalidToken, ValidationError):
        return None
