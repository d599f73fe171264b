"""Ledger lines and the calculation of their amounts (R20-R22, R30)."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, NamedTuple

from pydantic import Field

from subscription.business_calendar import Day, Instant, split_by_month
from subscription.contract import Contract, Rate
from subscription.model import Frozen
from subscription.money import prorated_parts, round_down
from subscription.prices import PriceOrigin


class LineKind(StrEnum):
    SERVICE_FEE = "SERVICE_FEE"
    DISCOUNT_REPAYMENT = "DISCOUNT_REPAYMENT"
    EARLY_TERMINATION_FEE = "EARLY_TERMINATION_FEE"


class LinePart(Frozen):
    """Days at one price: a part of the calculation of a ledger line.

    `price` is the price that the line charges, in KRW per member and month, and `origins` has its origin. For
    a discount repayment it is `list_price` minus `annual_price`, with the origins of both.
    """

    first_day: Annotated[Day, Field(alias="from")]
    end_day: Annotated[Day, Field(alias="to")]
    plan: str
    members: int
    price: int
    list_price: int
    annual_price: int
    origins: tuple[PriceOrigin, ...]

    @property
    def parts(self) -> int:
        """Return the exact cost in parts of a KRW."""
        return prorated_parts(self.price, self.members, self.first_day, self.end_day)


class ChargedRate(Frozen):
    """The days of a line with one plan and one number of members."""

    first_day: Annotated[Day, Field(alias="from")]
    end_day: Annotated[Day, Field(alias="to")]
    plan: str
    members: int


class LineKey(NamedTuple):
    """The parsed key of a ledger line (R22)."""

    subscription_id: str
    kind: LineKind
    first_day: date

    @classmethod
    def of(cls, key: str) -> "LineKey":
        subscription_id, kind, first_day = key.rsplit("/", 2)
        return cls(subscription_id, LineKind(kind), date.fromisoformat(first_day))

    def __str__(self) -> str:
        return f"{self.subscription_id}/{self.kind}/{self.first_day}"


class LedgerLine(Frozen):
    """A charge in whole KRW before VAT. Immutable; a key is posted at most once (R22)."""

    key: str
    kind: LineKind
    first_day: Annotated[Day, Field(alias="from")]
    end_day: Annotated[Day, Field(alias="to")]
    plan: str
    members: int
    amount: int
    effective_at: Instant
    percent: int = 100
    pieces: tuple[LinePart, ...]

    @property
    def rates(self) -> tuple[ChargedRate, ...]:
        """Return the plans and members that the line charges, in order of days.

        The fields `plan` and `members` have only those of the last days.
        """
        rates: list[ChargedRate] = []
        for piece in self.pieces:
            first_day = piece.first_day
            if rates and (rates[-1].plan, rates[-1].members) == (piece.plan, piece.members):
                first_day = rates.pop().first_day
            rates.append(
                ChargedRate(
                    first_day=first_day, end_day=piece.end_day, plan=piece.plan, members=piece.members
                )
            )
        return tuple(rates)


def service_fees(
    subscription_id: str, rates: Sequence[Rate], first_day: date, end_day: date, posted_at: datetime
) -> tuple[LedgerLine, ...]:
    """Return one line per unbroken run of days at one rate, within one calendar month (R21)."""
    lines = [
        _line(subscription_id, LineKind.SERVICE_FEE, [_fee_part(rate, start, end)], rate, posted_at)
        for month_first, month_end in split_by_month(first_day, end_day)
        for rate, start, end in _runs(rates, month_first, month_end)
    ]
    return tuple([line for line in lines if line.amount])


def termination_charges(
    subscription_id: str, contract: Contract, rates: Sequence[Rate], day: date, posted_at: datetime
) -> tuple[LedgerLine, ...]:
    """Return the early-termination charges of an annual contract that ends early on `day` (R30)."""
    rate = rates[-1]
    repayment = [
        _part(past, start, end, past.list_price - past.annual_price, past.list_origin, past.annual_origin)
        for past, start, end in _spans(rates, contract.first_day, day)
    ]
    remaining = [_part(rate, day, contract.end_day, rate.annual_price, rate.annual_origin)]
    lines = []
    if repayment:
        lines.append(_line(subscription_id, LineKind.DISCOUNT_REPAYMENT, repayment, rate, posted_at))
    lines.append(
        _line(
            subscription_id, LineKind.EARLY_TERMINATION_FEE, remaining, rate, posted_at, contract.fee_percent
        )
    )
    return tuple(line for line in lines if line.amount)


def append_rate(rates: Sequence[Rate], new: Rate, keep_from: date) -> tuple[Rate, ...]:
    """Return the rates with a new one appended. Of several changes on one day, the last one counts (R21).

    Rates that end before `keep_from` are dropped.
    """
    kept = [rate for rate in rates if rate.first_day < new.first_day] + [new]
    needed = [rate for rate, following in pairwise(kept) if following.first_day > keep_from]
    return (*needed, new)


def _spans(rates: Sequence[Rate], first_day: date, end_day: date) -> Iterator[tuple[Rate, date, date]]:
    """Yield each rate with its days within [first_day, end_day)."""
    ends = [rate.first_day for rate in rates[1:]] + [end_day]
    for rate, end in zip(rates, ends, strict=True):
        start, stop = max(rate.first_day, first_day), min(end, end_day)
        if start < stop:
            yield rate, start, stop


def _runs(rates: Sequence[Rate], first_day: date, end_day: date) -> list[tuple[Rate, date, date]]:
    """Return the spans, with adjacent spans of the same charge merged (R21)."""
    runs: list[tuple[Rate, date, date]] = []
    for rate, start, stop in _spans(rates, first_day, end_day):
        if runs and runs[-1][0].same_charge_as(rate):
            runs[-1] = (runs[-1][0], runs[-1][1], stop)
        else:
            runs.append((rate, start, stop))
    return runs


def _fee_part(rate: Rate, start: date, end: date) -> LinePart:
    return _part(rate, start, end, rate.price, rate.origin)


def _part(rate: Rate, start: date, end: date, price: int, *origins: PriceOrigin) -> LinePart:
    return LinePart(
        first_day=start,
        end_day=end,
        plan=rate.plan,
        members=rate.members,
        price=price,
        list_price=rate.list_price,
        annual_price=rate.annual_price,
        origins=origins,
    )


def _line(
    subscription_id: str,
    kind: LineKind,
    pieces: Sequence[LinePart],
    rate: Rate,
    posted_at: datetime,
    percent: int = 100,
) -> LedgerLine:
    """Return a line over adjacent pieces, with the plan and members of `rate`."""
    first_day = pieces[0].first_day
    return LedgerLine(
        key=str(LineKey(subscription_id, kind, first_day)),
        kind=kind,
        first_day=first_day,
        end_day=pieces[-1].end_day,
        plan=rate.plan,
        members=rate.members,
        amount=round_down(sum(piece.parts for piece in pieces), percent),
        effective_at=posted_at,
        percent=percent,
        pieces=tuple(pieces),
    )
