"""The subscription request and its field-by-field validation (R1-R8)."""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, model_validator

from subscription import account_names
from subscription.business_calendar import Instant, day_of
from subscription.catalogue import Catalogue, PriceBook, required_terms
from subscription.ids import is_opaque_id
from subscription.model import Frozen, Wire
from subscription.password_hash_policy import ALLOWED, password_hash_problem
from subscription.phone import phone_number
from subscription.refusals import Problem, Refusal, RefusalCode, validation_error
from subscription.validation import (
    has_control_characters,
    has_too_many_values,
    is_blank,
    parse_strict,
    problems_from,
)


class AccountKind(StrEnum):
    GROUP = "GROUP"
    DOMAIN = "DOMAIN"


class Account(Frozen):
    """The account name of a subscription. Its kind is stored and never derived from the name (R4)."""

    kind: AccountKind
    name: str


class AccountName(Wire):
    """`{"group": …}` or `{"domain": …}`: exactly one of the two (R4)."""

    group: Annotated[str, AfterValidator(account_names.group_name)] | None = None
    domain: Annotated[str, AfterValidator(account_names.domain_name)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.group is None) == (self.domain is None):
            raise validation_error(RefusalCode.INVALID_VALUE, reason="GROUP_OR_DOMAIN")
        return self

    @property
    def account(self) -> Account:
        if self.group is not None:
            return Account(kind=AccountKind.GROUP, name=self.group)
        assert self.domain is not None
        return Account(kind=AccountKind.DOMAIN, name=self.domain)


class TermAgreement(Wire):
    """A term of service, with the accepted version (R3)."""

    id: Annotated[str, Field(max_length=64)]
    version: Annotated[str, Field(max_length=64)]


def _opaque_id(value: str) -> str:
    if not is_opaque_id(value):
        raise validation_error(RefusalCode.INVALID_ID)
    return value


def _company_name(value: str) -> str:
    if not 1 <= len(value) <= 100 or is_blank(value):
        raise validation_error(RefusalCode.INVALID_COMPANY_NAME, reason="LENGTH")
    if has_control_characters(value):
        raise validation_error(RefusalCode.INVALID_COMPANY_NAME, reason="INVISIBLE")
    return value


def _argon2id_hash(value: str) -> str:
    if reason := password_hash_problem(value):
        raise validation_error(RefusalCode.INVALID_PASSWORD_HASH, reason=reason, allowed=ALLOWED)
    return value


def check_member_count(value: int, info: ValidationInfo) -> int:
    catalogue = _catalogue(info)
    if value < 1:
        raise validation_error(RefusalCode.INVALID_VALUE, reason="AT_LEAST", least=1)
    if catalogue and value > catalogue.account.max_members:
        raise validation_error(
            RefusalCode.TOO_MANY_MEMBERS, reason="AT_MOST", most=catalogue.account.max_members
        )
    return value


def _check_plan_on_sale(value: str, info: ValidationInfo) -> str:
    catalogue = _catalogue(info)
    if catalogue and value not in catalogue.plans:
        raise validation_error(RefusalCode.PLAN_NOT_SOLD, reason="ONE_OF", plans=catalogue.plans_by_rank)
    return value


def _required_terms_agreed(
    value: tuple[TermAgreement, ...], info: ValidationInfo
) -> tuple[TermAgreement, ...]:
    catalogue = _catalogue(info)
    if catalogue and (lacking := missing_terms_message(value, catalogue)):
        reason, terms = lacking
        raise validation_error(RefusalCode.TERMS_NOT_AGREED, reason=reason, terms=terms)
    return value


def _catalogue(info: ValidationInfo) -> Catalogue | None:
    return (info.context or {}).get("catalogue")


def missing_terms_message(
    agreed: tuple[TermAgreement, ...], catalogue: Catalogue
) -> tuple[Literal["MISSING", "VERSIONS"], tuple[str, ...]] | None:
    """Return why the agreements are incomplete, with the terms to agree to; None if complete (R3)."""
    current = {(term.id, term.version) for term in catalogue.terms}
    given = {(term.id, term.version) for term in agreed}
    missing = [t for t in required_terms(catalogue) if (t.id, t.version) not in given]
    if missing:
        return "MISSING", tuple(f"{term.id}/{term.version}" for term in missing)
    if given - current:
        return "VERSIONS", tuple(f"{term.id}/{term.version}" for term in catalogue.terms)
    return None


class Request(Wire):
    """A valid subscription request (R1-R8). It has only the Argon2id hash of the password (R7)."""

    request_id: Annotated[str, AfterValidator(_opaque_id)]
    customer_id: Annotated[str, AfterValidator(_opaque_id)]
    region: Literal["KR"]
    platform: Literal["VPC", "CLASSIC"]
    plan: Annotated[str, AfterValidator(_check_plan_on_sale)]
    members: Annotated[int, AfterValidator(check_member_count)]
    agreed_terms: Annotated[
        tuple[TermAgreement, ...], Field(strict=False), AfterValidator(_required_terms_agreed)
    ]
    account: AccountName
    admin_id: Annotated[str, AfterValidator(account_names.admin_id)]
    password_hash: Annotated[str, AfterValidator(_argon2id_hash)]
    company_name: Annotated[str, AfterValidator(_company_name)]
    company_phone: Annotated[str, AfterValidator(phone_number)]
    simulated_at: Instant | None = None
    """The start of the subscription's clock in a simulation. A production worker refuses it."""

    def fingerprint(self) -> str:
        """Return a hash of the body, to compare requests (R9). It excludes the salted password hash."""
        body = self.model_dump_json(exclude={"password_hash", "request_id"})
        return hashlib.sha256(body.encode()).hexdigest()


def parse_request(data: object, book: PriceBook, now: datetime) -> Request | Refusal:
    """Parse a request by the catalogue in force; return a refusal with all problems if it is invalid (R9)."""
    catalogue = book.in_force(day_of(now))
    if catalogue is None:
        return Refusal.of(RefusalCode.NOTHING_ON_SALE, judged_by_catalogue=True)
    if not isinstance(data, dict):
        return Refusal.of(RefusalCode.REQUEST_REFUSED, reason="NOT_AN_OBJECT")
    if has_too_many_values(data):
        return Refusal.of(RefusalCode.REQUEST_REFUSED, reason="TOO_MUCH")
    return _read(data, catalogue)


def _read(data: dict[str, Any], catalogue: Catalogue) -> Request | Refusal:
    try:
        return parse_strict(Request, data, {"catalogue": catalogue})
    except ValidationError as error:
        return Refusal.of_problems(RefusalCode.REQUEST_REFUSED, problems_from(error), whole="the request")


def name_taken_refusal(kind: AccountKind) -> Refusal:
    """Return the refusal of a request whose name is reserved by another active subscription (R5)."""
    problem = Problem.of(RefusalCode.NAME_TAKEN, f"account.{kind.lower()}")
    return Refusal.of_problems(RefusalCode.NAME_TAKEN, (problem,), whole="the request")
