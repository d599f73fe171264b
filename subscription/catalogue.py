"""Product catalogue: one published version, and the price book of all versions (R19)."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AliasChoices, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from subscription.account_names import domain_name
from subscription.business_calendar import Day
from subscription.domain_verification import DomainPolicy
from subscription.model import Frozen, Wire
from subscription.prices import PlanPrices, PriceBasis, PriceOrigin
from subscription.refusals import Problem, Refusal, RefusalCode, validation_error
from subscription.validation import has_control_characters, parse_strict, problems_from

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Price = Annotated[int, Field(ge=0, le=10_000_000_000, description="KRW per member per month, before VAT")]

_MOST_KRW_A_MONTH = 5 * 10**14
"""Per subscription. A year with VAT then stays below 2^53, up to which every JSON parser is exact."""


def _printed(text: str) -> str:
    if has_control_characters(text):
        raise validation_error(RefusalCode.INVALID_VALUE, reason="INVISIBLE")
    return text


Title = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printed)]


def _printed_lines(text: str) -> str:
    _printed(text.replace("\n", ""))
    return text


class LocalizedTitle(Wire):
    """A title in both languages."""

    en: Title
    ko: Title


class LocalizedText(Wire):
    """A text in both languages, which may have several paragraphs."""

    en: Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(_printed_lines)]
    ko: Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(_printed_lines)]


_Entries = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printed)], ...],
    Field(strict=False, min_length=1, max_length=50),
]


class LocalizedList(Wire):
    """A list in both languages: each entry of one is the translation of the same entry of the other."""

    en: _Entries
    ko: _Entries

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.en) != len(self.ko):
            raise validation_error(
                RefusalCode.INVALID_VALUE, reason="UNEQUAL_LISTS", english=len(self.en), korean=len(self.ko)
            )
        return self


def _is_none(value: object) -> bool:
    return value is None


_Text = Field(exclude_if=_is_none, json_schema_extra={"x-omitted-if-null": True})
"""A text of the catalogue. Stored catalogues and workflow payloads have no key for a missing one."""


class TrialPolicy(Wire):
    """The lengths of trial and grace period, and two optional limits.

    They are the members of a request, and a customer's subscriptions in trial or grace period at a time.
    """

    days: Annotated[int, Field(ge=0, le=3650)]
    grace_days: Annotated[int, Field(ge=0, le=3650)]
    max_members: Annotated[int | None, Field(ge=1, le=10_000_000)] = None
    per_customer: Annotated[int | None, Field(ge=1, le=1_000_000)] = None


class CancellationPolicy(Wire):
    fee_percent: Annotated[int, Field(ge=0, le=100)]


class RenewalPolicy(Wire):
    """A renewal charges a higher price only if it was announced this many days before its first day (R35)."""

    price_notice_days: Annotated[int, Field(ge=0, le=365)] = 30


class BillingPolicy(Wire):
    """The billing window: minutes over which the service fees of a month are posted; 0 posts all at once."""

    spread_minutes: Annotated[int, Field(ge=0, le=12 * 60)] = 60


class AccountPolicy(Wire):
    rename_lock_hours: Annotated[int, Field(ge=0, le=24 * 365)]
    max_members: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000


class Supplier(Wire):
    """The seller that invoices name."""

    name: Title = "NAVER Cloud Corp."
    registration_number: Annotated[Title, Field(max_length=40)] = "000-00-00000"
    address: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printed)] = (
        "Seongnam-si, Gyeonggi-do, Korea"
    )


class InvoicePolicy(Wire):
    """The value-added tax on invoices, and their issuer."""

    vat_percent: Annotated[int, Field(ge=0, le=100)] = 10
    supplier: Supplier = Field(default_factory=Supplier)


def _each_once(days: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(days)) < len(days):
        raise validation_error(RefusalCode.INVALID_VALUE, reason="TWICE")
    return days


Days = Annotated[
    tuple[Annotated[int, Field(ge=1, le=365)], ...], Field(strict=False), AfterValidator(_each_once)
]
# Less than the shortest month. Otherwise the notice of a contract's end would be due on its first day.
DaysOfMonth = Annotated[
    tuple[Annotated[int, Field(ge=1, le=27)], ...], Field(strict=False), AfterValidator(_each_once)
]


class NoticePolicy(Wire):
    """The days before an event on which customers are notified; an empty list disables the notice.

    The mail address of an administrator on a group name lies below `group_mail_domain`.
    """

    trial_days: Days = (7, 3, 1)
    deletion_days: Days = (14, 7, 3, 1)
    """Days before a subscription is canceled by a deadline and its data is deleted (R34)."""
    reservation_days: Days = (1,)
    price_rise_days: Days = (30, 7)
    """Days before a contract begins at a higher price (R35)."""
    annual_contract_days: Days = (30, 7)
    monthly_contract_days: DaysOfMonth = (7,)
    unverified_domain_days: Annotated[
        Days, Field(validation_alias=AliasChoices("unverified_domain_days", "unproved_domain_days"))
    ] = (3,)
    """Days after the name was reserved, not before an event: the domain is still not verified."""
    group_mail_domain: Annotated[str, AfterValidator(domain_name)] = "worksmobile.example"


class Term(Wire):
    """A term of service that a request agrees to, in one version (R3)."""

    id: Identifier
    version: Identifier
    required: bool
    title: Annotated[LocalizedTitle | None, _Text] = None
    text: Annotated[LocalizedText | None, _Text] = None


class Plan(Wire):
    """A plan with its two prices: `list` without commitment, `annual` under an annual contract."""

    model_config = ConfigDict(title="Plan")

    title: Title
    rank: Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
    list: Price
    annual: Price
    functions: Annotated[LocalizedList | None, _Text] = None

    @model_validator(mode="after")
    def _annual_is_the_lower(self) -> Self:
        if self.annual > self.list:
            raise validation_error(RefusalCode.INVALID_VALUE, reason="ANNUAL_ABOVE_LIST")
        return self


class TermTexts(Frozen):
    title: LocalizedTitle | None = None
    text: LocalizedText | None = None


class CatalogueTexts(Frozen):
    """The texts of a catalogue version, by term and by plan (R2, R3).

    They are stored separately: workflows carry the price book, and need no texts.
    """

    terms: Mapping[str, TermTexts] = {}
    functions: Mapping[str, LocalizedList] = {}


class Catalogue(Wire):
    """One version of the catalogue: immutable once published.

    `announced_on` is the day on which customers could first know the version; without it, `effective_from`
    (R35).
    """

    version: Identifier
    effective_from: Day
    announced_on: Day | None = None
    timezone: Literal["Asia/Seoul"] = "Asia/Seoul"
    currency: Literal["KRW"] = "KRW"
    trial: TrialPolicy
    cancellation: CancellationPolicy
    renewal: RenewalPolicy = Field(default_factory=RenewalPolicy)
    billing: BillingPolicy = Field(default_factory=BillingPolicy)
    account: AccountPolicy
    domain: DomainPolicy = Field(default_factory=DomainPolicy)
    invoice: InvoicePolicy = Field(default_factory=InvoicePolicy)
    notices: NoticePolicy = Field(default_factory=NoticePolicy)
    terms: Annotated[tuple[Term, ...], Field(strict=False, max_length=100)] = ()
    plans: Annotated[Mapping[Identifier, Plan], Field(min_length=1, max_length=100)]

    @property
    def announcement_day(self) -> date:
        return self.announced_on or self.effective_from

    @property
    def max_members_requested(self) -> int:
        """Return the largest number of members in a request, which starts a trial (R2)."""
        return min(self.account.max_members, self.trial.max_members or self.account.max_members)

    @property
    def texts(self) -> CatalogueTexts:
        return CatalogueTexts(
            terms={
                term.id: TermTexts(title=term.title, text=term.text)
                for term in self.terms
                if term.title or term.text
            },
            functions={id_: plan.functions for id_, plan in self.plans.items() if plan.functions},
        )

    def with_texts(self, texts: CatalogueTexts) -> Self:
        """Return the version with these texts in place of its own."""
        no_texts = TermTexts()
        return self.model_copy(
            update={
                "terms": tuple(
                    term.model_copy(update=dict(texts.terms.get(term.id, no_texts))) for term in self.terms
                ),
                "plans": {
                    id_: plan.model_copy(update={"functions": texts.functions.get(id_)})
                    for id_, plan in self.plans.items()
                },
            }
        )

    def without_texts(self) -> Self:
        return self.with_texts(CatalogueTexts())

    @property
    def plans_by_rank(self) -> tuple[str, ...]:
        """Return the plans by rank. Storage may change the order of a file, but not this order."""
        return tuple(sorted(self.plans, key=lambda plan: self.plans[plan].rank))

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.announcement_day > self.effective_from:
            raise _inconsistent("announced_on", f"must not be after effective_from, {self.effective_from}")
        ranked = sorted(self.plans.items(), key=lambda entry: entry[1].rank)
        for (lower_id, lower), (higher_id, higher) in pairwise(ranked):
            if lower.rank == higher.rank:
                raise _inconsistent(f"plans.{higher_id}.rank", f"plans.{lower_id} has the same rank.")
            for price in ("list", "annual"):
                if getattr(higher, price) < getattr(lower, price):
                    raise _inconsistent(
                        f"plans.{higher_id}.{price}",
                        f"The price must not be below that of plans.{lower_id}, which has a lower rank.",
                    )
        for plan_id, plan in ranked:
            if plan.list * self.account.max_members > _MOST_KRW_A_MONTH:
                raise _inconsistent(
                    f"plans.{plan_id}.list",
                    f"The price is too high for {self.account.max_members:,} members (account.max_members): "
                    f"more than {_MOST_KRW_A_MONTH:,} KRW per month.",
                )
        for index, term in enumerate(self.terms):
            if term.id in {other.id for other in self.terms[:index]}:
                raise _inconsistent(f"terms.{index}.id", "Another term has the same ID.")
        return self


def _inconsistent(path: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("CATALOGUE_MISFIT", "{message}", {"path": path, "message": message})


_MOST_INTERNED = 1_000
_interned: dict[str, Catalogue] = {}


def _intern(version: Catalogue) -> Catalogue:
    """Return the one object of this process for equal versions: a million workflows share it."""
    known = _interned.get(version.version)
    if known == version:
        return known
    if len(_interned) >= _MOST_INTERNED:
        _interned.clear()
    _interned[version.version] = version
    return version


class PriceBook(Frozen):
    """The published versions, in the order in which they come into force.

    A plan that is no longer sold keeps the prices of the last version that sold it (R19). The book of a
    workflow lacks versions that it no longer needs: see `price_needs`. `numbers` then has the number of each
    version, counted from 1 in the order of publication; a complete book has none.
    """

    versions: tuple[Annotated[Catalogue, AfterValidator(_intern)], ...]
    numbers: tuple[int, ...] = ()

    @property
    def revision(self) -> int:
        """Return the number of the newest version. It identifies the book: versions are only ever added."""
        return self.numbers[-1] if self.numbers else len(self.versions)

    @property
    def by_number(self) -> Mapping[int, Catalogue]:
        return dict(zip(self.numbers or range(1, len(self.versions) + 1), self.versions, strict=True))

    def contains(self, other: "PriceBook") -> bool:
        return self.by_number.items() >= other.by_number.items()

    def with_versions(self, newer: Iterable[Catalogue]) -> "PriceBook":
        # Without validation: the versions are valid, and their validators would run again.
        versions = (*self.versions, *newer)
        numbers = self.numbers
        if numbers:
            numbers += tuple(range(self.revision + 1, self.revision + 1 + len(versions) - len(numbers)))
        return self.model_copy(update={"versions": versions, "numbers": numbers})

    def only(self, indexes: Iterable[int]) -> "PriceBook":
        """Return the book of the versions at these indexes, which keep their numbers."""
        kept = tuple(indexes)
        if len(kept) == len(self.versions):
            return self
        numbers = tuple(self.by_number)
        return self.model_copy(
            update={
                "versions": tuple(self.versions[index] for index in kept),
                "numbers": tuple(numbers[index] for index in kept),
            }
        )

    def refusal_of(self, newer: Catalogue, today: date) -> Refusal | None:
        """Return why `newer` cannot be published on `today` after the existing versions; None if it can."""
        problems = [*self._problems_of_version(newer, today), *self._problems_of_ranks(newer)]
        if not problems:
            return None
        return Refusal.of_problems(RefusalCode.CATALOGUE_NOT_PUBLISHABLE, problems)

    def _problems_of_version(self, newer: Catalogue, today: date) -> Iterator[Problem]:
        code = RefusalCode.CATALOGUE_NOT_PUBLISHABLE
        if any(version.version == newer.version for version in self.versions):
            yield Problem.of(code, "version", reason="CHANGED", version=newer.version)
        if not self.versions:
            return  # The first version may be effective from any day: there are no earlier contracts.
        last = self.versions[-1]
        if newer.effective_from <= last.effective_from:
            yield Problem.of(
                code, "effective_from", reason="NOT_LATER", version=last.version, date=last.effective_from
            )
        elif newer.effective_from < today:
            yield Problem.of(code, "effective_from", reason="IN_THE_PAST", today=today)
        if newer.announcement_day < last.announcement_day:
            yield Problem.of(
                code,
                "announced_on",
                reason="ANNOUNCED_EARLIER",
                version=last.version,
                date=last.announcement_day,
            )
        elif newer.announcement_day < today <= newer.effective_from:
            yield Problem.of(code, "announced_on", reason="ANNOUNCED_IN_THE_PAST", today=today)

    def _problems_of_ranks(self, newer: Catalogue) -> Iterator[Problem]:
        """Yield changed or reused ranks. With a reused rank, an upgrade could lower the plan (R25)."""
        first_seen: dict[str, tuple[int, str]] = {}
        for version in self.versions:
            for plan_id, plan in version.plans.items():
                first_seen.setdefault(plan_id, (plan.rank, version.version))
        owners = {rank: (plan_id, version) for plan_id, (rank, version) in first_seen.items()}
        for plan_id, plan in newer.plans.items():
            field = f"plans.{plan_id}.rank"
            code = RefusalCode.CATALOGUE_NOT_PUBLISHABLE
            rank, since = first_seen.get(plan_id, (plan.rank, ""))
            if rank != plan.rank:
                yield Problem.of(code, field, reason="RANK_CHANGED", rank=rank, version=since)
            owner, since = owners.get(plan.rank, (plan_id, ""))
            if owner != plan_id:
                yield Problem.of(code, field, reason="RANK_REUSED", plan=owner, version=since)

    def is_lower(self, plan: str, than: str, day: date) -> bool:
        """Return whether `plan` is below `than`. Two plans of the same rank are below each other (R25)."""
        return plan != than and self.plan_terms(plan, day).rank <= self.plan_terms(than, day).rank

    def in_force(self, day: date) -> Catalogue | None:
        return self._in_force(day, announced_by=day)

    def _in_force(self, day: date, announced_by: date) -> Catalogue | None:
        """Return the version that is in force on `day` among those announced by a day (R35)."""
        for version in reversed(self.versions):
            if version.effective_from <= day and version.announcement_day <= announced_by:
                return version
        return None

    def plan_on_sale(self, plan: str, day: date) -> Plan | None:
        """Return the plan as it can be newly chosen on `day`; None if it is not on sale."""
        catalogue = self.in_force(day)
        return catalogue.plans.get(plan) if catalogue else None

    def plan_terms(self, plan: str, day: date) -> Plan:
        """Return the plan's prices and rank on `day`, or its last ones; `KeyError` if it was never sold."""
        return self.selling(plan, day).plans[plan]

    def prices(self, plan: str, day: date) -> PlanPrices:
        """Return the plan's prices in force on `day`, or its last ones (R19)."""
        version = self.selling(plan, day)
        basis = PriceBasis.IN_FORCE if version is self.in_force(day) else PriceBasis.LAST_SOLD
        return _prices(version, plan, day, basis)

    def announced_prices(self, plan: str, day: date, announced_by: date) -> PlanPrices:
        """Return the plan's prices on `day` for a contract that begins without a command (R35).

        Each price is the lower of the one in force on `day` and the one that would be in force if only the
        versions announced by `announced_by` existed.
        """
        in_force = self.prices(plan, day)
        announced = self._in_force(day, announced_by)
        if announced is None or announced is self.selling(plan, day) or plan not in announced.plans:
            return in_force
        return in_force.lower_of_each(_prices(announced, plan, day, PriceBasis.ANNOUNCED))

    def renewal_prices(self, plan: str, first_day: date) -> PlanPrices:
        """Return the plan's prices for a contract that begins by renewal on `first_day` (R35)."""
        catalogue = self.in_force(first_day)
        notice_days = catalogue.renewal.price_notice_days if catalogue else 0
        return self.announced_prices(plan, first_day, first_day - timedelta(days=notice_days))

    def announced_by(self, day: date) -> "PriceBook":
        """Return the book of the versions that were announced on or before `day` (R35)."""
        return self.only(
            index for index, version in enumerate(self.versions) if version.announcement_day <= day
        )

    def selling(self, plan: str, day: date) -> Catalogue:
        """Return the last version up to `day` that sells the plan."""
        for version in reversed(self.versions):
            if version.effective_from <= day and plan in version.plans:
                return version
        raise KeyError(plan)

    @property
    def domain_policy(self) -> DomainPolicy:
        """Return the domain policy of the newest version: it is operational and not part of a contract."""
        return self.versions[-1].domain

    @property
    def billing_window(self) -> timedelta:
        """Return the length of the billing window, also of the newest version."""
        return timedelta(minutes=self.versions[-1].billing.spread_minutes if self.versions else 0)

    @property
    def notice_policy(self) -> NoticePolicy:
        """Return the notice policy, also of the newest version."""
        return self.versions[-1].notices


def _prices(version: Catalogue, plan_id: str, day: date, basis: PriceBasis) -> PlanPrices:
    plan = version.plans[plan_id]
    origin = PriceOrigin(version=version.version, basis=basis, decided_on=day)
    return PlanPrices(list=plan.list, annual=plan.annual, list_origin=origin, annual_origin=origin)


class CatalogueError(Exception):
    """An invalid catalogue. `problems` are pairs (line or None, problem); the message lists all of them."""

    def __init__(self, source: str, problems: list[tuple[int | None, Problem]]) -> None:
        self.problems = problems
        super().__init__("\n".join(_at_line(source, line, problem) for line, problem in problems))


def _at_line(source: str, line: int | None, problem: Problem) -> str:
    place = f"{source}, line {line}" if line else source
    return f"{place}: {problem}"


def parse_catalogue(text: str, source: str = "catalogue.toml") -> Catalogue:
    """Parse a catalogue; raises `CatalogueError` with all problems and their lines."""
    try:
        return parse_strict(Catalogue, tomllib.loads(text))
    except ValidationError as error:
        problems = [_with_line_number(problem, text) for problem in _catalogue_problems(error)]
        raise CatalogueError(source, problems) from None
    except (ValueError, RecursionError) as error:  # not TOML, or nested too deeply for the parser
        raise CatalogueError(source, [(None, _syntax_problem(error))]) from None


def _syntax_problem(error: Exception) -> Problem:
    return Problem(code="CATALOGUE_SYNTAX", message=f"The catalogue is not TOML: {error}.")


def _catalogue_problems(error: ValidationError) -> list[Problem]:
    inconsistencies = [
        Problem(field=detail["ctx"]["path"], code=detail["type"], message=detail["msg"])
        for detail in error.errors(include_url=False, include_input=False)
        if detail["type"] == "CATALOGUE_MISFIT"
    ]
    return inconsistencies or list(problems_from(error))


_TABLE = re.compile(r"\s*(\[\[?)\s*([^\]\s]+)\s*\]\]?")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")


def _with_line_number(problem: Problem, text: str) -> tuple[int | None, Problem]:
    """Return the line of the field or of the nearest enclosing key. `tomllib` reports no line numbers."""
    lines = _lines_of_paths(text)
    parts = (problem.field or "").split(".")
    while parts and parts != [""]:
        line = lines.get(".".join(parts))
        if line:
            return line, problem
        parts.pop()
    return None, problem


def _lines_of_paths(text: str) -> dict[str, int]:
    lines: dict[str, int] = {}
    table, seen = "", dict[str, int]()
    for number, line in _lines_outside_texts(text):
        if header := _TABLE.match(line):
            table = re.sub("[\"']", "", header[2])
            array, _, rest = table.partition(".")
            if header[1] == "[[":
                seen[table] = seen.get(table, -1) + 1
                table = f"{table}.{seen[table]}"
            elif array in seen:  # [terms.text] belongs to the last [[terms]]
                table = f"{array}.{seen[array]}.{rest}"
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            name = key[1].strip("\"'")
            lines.setdefault(f"{table}.{name}" if table else name, number)
    return lines


def _lines_outside_texts(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers, except those within a multi-line string."""
    quotes = None
    for number, line in enumerate(text.splitlines(), start=1):
        if quotes is None:
            yield number, line
        for found in re.findall(r'"""|\'\'\'', line):
            quotes = found if quotes is None else None if found == quotes else quotes


def required_terms(catalogue: Catalogue) -> tuple[Term, ...]:
    return tuple(term for term in catalogue.terms if term.required)


def rename_lock(catalogue: Catalogue) -> timedelta:
    return timedelta(hours=catalogue.account.rename_lock_hours)
