"""The subscription request and its field-by-field validation (R1-R8)."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo
from pydantic.json_schema import SkipJsonSchema

from subscription import account_names
from subscription.account import AccountKind, AccountName
from subscription.business_calendar import Instant, day_of
from subscription.catalogue import Catalogue, PriceBook, required_terms
from subscription.email_address import email_address
from subscription.ids import is_opaque_id
from subscription.issuer import Channel, Issuer
from subscription.model import Wire
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


def _at_least_one(value: int) -> int:
    if value < 1:
        raise validation_error(RefusalCode.INVALID_VALUE, reason="AT_LEAST", least=1)
    return value


def _keep_well_formed(value: Any, info: ValidationInfo) -> Any:
    """Keep a valid value although another field is invalid, because the catalogue is checked afterwards."""
    if info.context and info.field_name:
        info.context["well_formed"][info.field_name] = value
    return value


_ForCatalogue = AfterValidator(_keep_well_formed)


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
    plan: Annotated[str, _ForCatalogue]
    members: Annotated[int, AfterValidator(_at_least_one), _ForCatalogue]
    agreed_terms: Annotated[tuple[TermAgreement, ...], Field(strict=False), _ForCatalogue]
    account: AccountName
    admin_id: Annotated[str, AfterValidator(account_names.admin_id)]
    password_hash: Annotated[str, AfterValidator(_argon2id_hash)]
    company_name: Annotated[str, AfterValidator(_company_name)]
    company_phone: Annotated[str, AfterValidator(phone_number)]
    contact_email: Annotated[str, AfterValidator(email_address)] | None = None
    """A second recipient of notices. Only this one can be read while the product is suspended (R34)."""
    simulated_at: Annotated[Instant | None, _ForCatalogue] = None
    """The start of the subscription's clock in a simulation. A production worker refuses it."""
    issuer: SkipJsonSchema[Issuer | None] = None
    """Set by the interface that sends the request."""

    @property
    def recorded_issuer(self) -> Issuer:
        return self.issuer or Issuer(channel=Channel.TEMPORAL)

    def fingerprint(self) -> str:
        """Return a hash of the body, to compare requests (R9). It excludes the salted password hash.

        It also excludes the issuer, because another person may repeat a request.
        """
        excluded = {"password_hash", "request_id", "issuer"}
        if self.contact_email is None:  # as in bodies without this field
            excluded.add("contact_email")
        body = self.model_dump_json(exclude=excluded)
        return hashlib.sha256(body.encode()).hexdigest()


@dataclass(frozen=True)
class ParsedRequest:
    """A request after parsing, which needs no catalogue. `request` is None if the data are malformed.

    A repeated request can therefore be recognized after the catalogue has changed (R9).
    """

    request: Request | None
    _refused: Refusal | None = None
    _problems: tuple[Problem, ...] = ()
    _well_formed: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: object) -> Self:
        if not isinstance(data, dict):
            return cls(None, Refusal.of(RefusalCode.REQUEST_REFUSED, reason="NOT_AN_OBJECT"))
        if has_too_many_values(data):
            return cls(None, Refusal.of(RefusalCode.REQUEST_REFUSED, reason="TOO_MUCH"))
        well_formed: dict[str, Any] = {}
        try:
            request = parse_strict(Request, data, {"well_formed": well_formed})
        except ValidationError as error:
            return cls(None, _problems=problems_from(error), _well_formed=well_formed)
        return cls(request, _well_formed=well_formed)

    @property
    def simulated_at(self) -> datetime | None:
        return self._well_formed.get("simulated_at")

    def validate(self, book: PriceBook, now: datetime) -> Request | Refusal:
        """Return the request, or a refusal with all problems by the catalogue in force (R9)."""
        catalogue = book.in_force(day_of(now))
        if catalogue is None:
            return Refusal.of(RefusalCode.NOTHING_ON_SALE, judged_by_catalogue=True)
        if self._refused is not None:
            return self._refused
        problems = (*self._problems, *_catalogue_problems(self._well_formed, catalogue))
        if problems or self.request is None:
            problems = tuple(sorted(problems, key=_field_order))
            return Refusal.of_problems(RefusalCode.REQUEST_REFUSED, problems)
        return self.request


def parse_request(data: object, book: PriceBook, now: datetime) -> Request | Refusal:
    """Parse and validate a request; return a refusal with all problems if it is invalid (R9)."""
    return ParsedRequest.parse(data).validate(book, now)


def _catalogue_problems(well_formed: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Problem]:
    """Yield the problems of the fields that the catalogue decides: plan, members and terms."""
    if "plan" in well_formed and well_formed["plan"] not in catalogue.plans:
        yield Problem.of(RefusalCode.PLAN_NOT_SOLD, "plan", reason="ONE_OF", plans=catalogue.plans_by_rank)
    most = catalogue.max_members_requested
    if "members" in well_formed and well_formed["members"] > most:
        yield Problem.of(RefusalCode.TOO_MANY_MEMBERS, "members", reason="AT_MOST", most=most)
    if "agreed_terms" in well_formed and (
        lacking := missing_terms_message(well_formed["agreed_terms"], catalogue)
    ):
        reason, terms = lacking
        yield Problem.of(RefusalCode.TERMS_NOT_AGREED, "agreed_terms", reason=reason, terms=terms)


_FIELDS = tuple(Request.model_fields)


def _field_order(problem: Problem) -> int:
    """Return the position of the problem's field in the request; other problems come last."""
    name = (problem.field or "").partition(".")[0]
    return _FIELDS.index(name) if name in _FIELDS else len(_FIELDS)


def too_many_trials_refusal(catalogue: Catalogue, trials: int) -> Refusal | None:
    """Return the refusal of a customer's request beyond the limit of trials; None if it is allowed (R2).

    `trials` is the number of the customer's subscriptions in trial or grace period.
    """
    most = catalogue.trial.per_customer
    if most is None or trials < most:
        return None
    return Refusal.of(RefusalCode.TOO_MANY_TRIALS, most=most)


def name_taken_refusal(kind: AccountKind) -> Refusal:
    """Return the refusal of a request whose name another active subscription holds (R5)."""
    problem = Problem.of(RefusalCode.NAME_TAKEN, f"account.{kind.lower()}")
    return Refusal.of_problems(RefusalCode.NAME_TAKEN, (problem,))
