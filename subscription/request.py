"""The request for a subscription, judged field by field (R1-R8)."""

import hashlib
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from subscription import names
from subscription.calendar import Instant, day_of
from subscription.catalogue import Catalogue, PriceBook, required_terms
from subscription.model import Frozen, Wire
from subscription.password_hash import password_hash_problem
from subscription.phone import phone_number
from subscription.refusals import Code, Problem, Refused
from subscription.validation import (
    check,
    has_control_characters,
    has_too_many_values,
    is_blank,
    problems_of,
)

_OPAQUE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")


class AccountKind(StrEnum):
    GROUP = "GROUP"
    DOMAIN = "DOMAIN"


class Account(Frozen):
    """The name that a subscription is held under; which kind it is, is stored, never guessed (R4)."""

    kind: AccountKind
    name: str


class AccountName(Wire):
    """`{"group": …}` or `{"domain": …}`: exactly one of the two (R4)."""

    group: Annotated[str, AfterValidator(names.group_name)] | None = None
    domain: Annotated[str, AfterValidator(names.domain_name)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.group is None) == (self.domain is None):
            raise PydanticCustomError("INVALID_VALUE", "must be either {group: …} or {domain: …}")
        return self

    @property
    def account(self) -> Account:
        if self.group is not None:
            return Account(kind=AccountKind.GROUP, name=self.group)
        assert self.domain is not None
        return Account(kind=AccountKind.DOMAIN, name=self.domain)


class TermAgreement(Wire):
    """A term of service, in the version that was agreed to (R3)."""

    id: Annotated[str, Field(max_length=64)]
    version: Annotated[str, Field(max_length=64)]


def is_opaque_id(value: str) -> bool:
    return _OPAQUE_ID.fullmatch(value) is not None


def _opaque_id(value: str) -> str:
    if not is_opaque_id(value):
        raise PydanticCustomError(
            Code.INVALID_ID.value,
            "must be 1 to 100 letters, digits, '.', '_', ':' or '-', the first a letter or digit",
        )
    return value


def _company_name(value: str) -> str:
    if not 1 <= len(value) <= 100 or is_blank(value):
        raise PydanticCustomError("INVALID_COMPANY_NAME", "must have 1 to 100 characters that can be seen")
    if has_control_characters(value):
        raise PydanticCustomError("INVALID_COMPANY_NAME", "must not have control or invisible characters")
    return value


def _argon2id_hash(value: str) -> str:
    if problem := password_hash_problem(value):
        raise PydanticCustomError("INVALID_PASSWORD_HASH", "{problem}", {"problem": problem})
    return value


def members_sold(value: int, info: ValidationInfo) -> int:
    catalogue = _catalogue(info)
    if value < 1:
        raise PydanticCustomError("INVALID_VALUE", "must be 1 or more")
    if catalogue and value > catalogue.account.max_members:
        raise PydanticCustomError(
            "TOO_MANY_MEMBERS", "must be {most} at most", {"most": catalogue.account.max_members}
        )
    return value


def _plan_sold(value: str, info: ValidationInfo) -> str:
    catalogue = _catalogue(info)
    if catalogue and value not in catalogue.plans:
        raise PydanticCustomError(
            "PLAN_NOT_SOLD", "must be one of {plans}", {"plans": catalogue.plans_in_words}
        )
    return value


def _required_terms_agreed(
    value: tuple[TermAgreement, ...], info: ValidationInfo
) -> tuple[TermAgreement, ...]:
    catalogue = _catalogue(info)
    if catalogue and (missing := terms_lacking(value, catalogue)):
        raise PydanticCustomError("TERMS_NOT_AGREED", "{missing}", {"missing": missing})
    return value


def _catalogue(info: ValidationInfo) -> Catalogue | None:
    return (info.context or {}).get("catalogue")


def terms_lacking(agreed: tuple[TermAgreement, ...], catalogue: Catalogue) -> str | None:
    """What keeps these agreements from being enough, in words; None when they are (R3)."""
    current = {(term.id, term.version) for term in catalogue.terms}
    given = {(term.id, term.version) for term in agreed}
    missing = [t for t in required_terms(catalogue) if (t.id, t.version) not in given]
    if missing:
        return "must agree to " + ", ".join(f"{t.id} in version {t.version}" for t in missing)
    if given - current:
        return "must name terms in the versions of the catalogue: " + ", ".join(
            f"{t.id} {t.version}" for t in catalogue.terms
        )
    return None


class Request(Wire):
    """A request that is in order (R1-R8). The password is here as its Argon2id hash alone (R7)."""

    request_id: Annotated[str, AfterValidator(_opaque_id)]
    customer_id: Annotated[str, AfterValidator(_opaque_id)]
    region: Literal["KR"]
    platform: Literal["VPC", "CLASSIC"]
    plan: Annotated[str, AfterValidator(_plan_sold)]
    members: Annotated[int, AfterValidator(members_sold)]
    agreed_terms: Annotated[
        tuple[TermAgreement, ...], Field(strict=False), AfterValidator(_required_terms_agreed)
    ]
    account: AccountName
    admin_id: Annotated[str, AfterValidator(names.admin_id)]
    password_hash: Annotated[str, AfterValidator(_argon2id_hash)]
    company_name: Annotated[str, AfterValidator(_company_name)]
    company_phone: Annotated[str, AfterValidator(phone_number)]
    simulated_at: Instant | None = None
    """Where this life's clock begins, in a simulation; a worker that serves customers refuses it."""

    def fingerprint(self) -> str:
        """Tells one body from another (R9). The password is left out: its hash is salted."""
        body = self.model_dump_json(exclude={"password_hash", "request_id"})
        return hashlib.sha256(body.encode()).hexdigest()


def read_request(data: object, book: PriceBook, now: datetime) -> Request | Refused:
    """The request, or every single thing that is wrong with it (R9), by the catalogue in force now."""
    catalogue = book.in_force(day_of(now))
    if catalogue is None:
        return Refused(
            code=Code.NOTHING_ON_SALE,
            message="No catalogue is in force yet on this day.",
            judged_by_catalogue=True,
        )
    if not isinstance(data, dict):
        return Refused(code=Code.REQUEST_REFUSED, message="The request must be an object of named fields.")
    if has_too_many_values(data):
        return Refused(code=Code.REQUEST_REFUSED, message="There is far too much in the request.")
    return _read(data, catalogue)


def _read(data: dict[str, Any], catalogue: Catalogue) -> Request | Refused:
    try:
        return check(Request, data, {"catalogue": catalogue})
    except ValidationError as error:
        problems = problems_of(error)
        return Refused(
            code=Code.REQUEST_REFUSED,
            message="; ".join(f"{p.field or 'the request'} {p.message}" for p in problems) + ".",
            field=problems[0].field,
            problems=problems,
        )


def name_taken(kind: AccountKind) -> Refused:
    """The refusal of a request whose name another live subscription holds (R5)."""
    field = f"account.{kind.lower()}"
    problem = Problem(field=field, code=Code.NAME_TAKEN, message="is taken; choose another name")
    return Refused(
        code=Code.NAME_TAKEN, message=f"{field} {problem.message}.", field=field, problems=(problem,)
    )
