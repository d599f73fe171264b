"""Explanation of a ledger line: rule, days, prices and arithmetic (R19-R21, R30, R35)."""

from fractions import Fraction

from subscription.business_calendar import Day, days_in_month, split_by_month
from subscription.ledger import LedgerLine, LineKind, LinePart
from subscription.messages import PLAIN, Message, format_message
from subscription.model import Frozen
from subscription.money import exact_krw, prorated_parts
from subscription.prices import PriceBasis, PriceOrigin

_RULES = {
    LineKind.SERVICE_FEE: ("R21", "the service fee for an unbroken run of days at one rate"),
    LineKind.DISCOUNT_REPAYMENT: (
        "R30",
        "what the days since the contract period began would have cost at list, less what they cost",
    ),
    LineKind.EARLY_TERMINATION_FEE: (
        "R30",
        "a share of what the days up to the contract's end would have cost at the annual price",
    ),
}

PRICE_REASONS = {
    PriceBasis.IN_FORCE: "in force on %(date)s",
    PriceBasis.LAST_SOLD: "the last one that sold the plan, on %(date)s",
    PriceBasis.ANNOUNCED: "announced in time for %(date)s, unlike the higher price in force",
    PriceBasis.KEPT: "of the contract since %(date)s, also for the members added later",
}
_PRICE_RULES = {
    PriceBasis.IN_FORCE: "R19",
    PriceBasis.LAST_SOLD: "R19",
    PriceBasis.ANNOUNCED: "R35",
    PriceBasis.KEPT: "R19",
}


class ChargedPrice(Frozen):
    """A price of a ledger line in KRW per member and month, with its origin."""

    plan: str
    price: int
    origin: PriceOrigin

    @property
    def reason(self) -> Message:
        """Return the reason why the price applies, as the rest of a sentence about the catalogue version."""
        return Message.of(PRICE_REASONS[self.origin.basis], date=self.origin.decided_on)


class ExplanationStep(Frozen):
    """The days of one calendar month at one price. `origins` are as in `LinePart`."""

    first_day: Day
    end_day: Day
    days: int
    days_in_month: int
    plan: str
    members: int
    price: int
    price_in_words: str
    origins: tuple[PriceOrigin, ...]
    exact: str


class Explanation(Frozen):
    """The calculation of a ledger line. `arithmetic` is the formula, `exact` its unrounded result (R20).

    `prices` names the catalogue version of each price, with the reason why it applies.
    """

    key: str
    rule: str
    meaning: str
    steps: tuple[ExplanationStep, ...]
    prices: tuple[str, ...]
    percent: int
    exact: str
    amount: int
    arithmetic: str


def explain(line: LedgerLine) -> Explanation:
    rule, meaning = _RULES[line.kind]
    exact = exact_krw(sum(piece.parts for piece in line.pieces), line.percent)
    steps = tuple(step for piece in line.pieces for step in _steps(piece, line.kind))
    return Explanation(
        key=line.key,
        rule=rule,
        meaning=meaning,
        steps=steps,
        prices=tuple(map(_price_words, charged_prices(line))),
        percent=line.percent,
        exact=_mixed(exact),
        amount=line.amount,
        arithmetic=_arithmetic(steps, line, exact),
    )


def _steps(piece: LinePart, kind: LineKind) -> list[ExplanationStep]:
    return [
        ExplanationStep(
            first_day=start,
            end_day=end,
            days=(end - start).days,
            days_in_month=days_in_month(start.year, start.month),
            plan=piece.plan,
            members=piece.members,
            price=piece.price,
            price_in_words=(
                f"{piece.list_price:,} - {piece.annual_price:,}"
                if kind is LineKind.DISCOUNT_REPAYMENT
                else f"{piece.price:,}"
            ),
            origins=piece.origins,
            exact=_mixed(exact_krw(prorated_parts(piece.price, piece.members, start, end))),
        )
        for start, end in split_by_month(piece.first_day, piece.end_day)
    ]


def charged_prices(line: LedgerLine) -> tuple[ChargedPrice, ...]:
    """Return each price of a line once, in the order of days; a discount repayment has two for each plan."""
    both = line.kind is LineKind.DISCOUNT_REPAYMENT
    prices = (
        ChargedPrice(plan=piece.plan, price=price, origin=origin)
        for piece in line.pieces
        for price, origin in zip(
            (piece.list_price, piece.annual_price) if both else (piece.price,), piece.origins, strict=True
        )
    )
    return tuple(dict.fromkeys(prices))


def _price_words(charged: ChargedPrice) -> str:
    origin, reason = charged.origin, format_message(charged.reason, PLAIN)
    return (
        f"{charged.plan} at {charged.price:,}: catalogue version {origin.version}, {reason} "
        f"({_PRICE_RULES[origin.basis]})"
    )


def _arithmetic(steps: tuple[ExplanationStep, ...], line: LedgerLine, exact: Fraction) -> str:
    terms = " + ".join(
        f"{step.days}/{step.days_in_month} × {step.members:,} × {_factor(step.price_in_words)}"
        for step in steps
    )
    if line.percent != 100:
        terms = f"{line.percent}% × ({terms})"
    return f"{terms} = {_mixed(exact)}, rounded down to {line.amount:,} KRW"


def _factor(price: str) -> str:
    """Put a difference of two prices into parentheses; return a single price unchanged."""
    return f"({price})" if " - " in price else price


def _mixed(value: Fraction) -> str:
    """Format a fraction as a mixed number: `16,258 2/31`."""
    whole, rest = divmod(value.numerator, value.denominator)
    return f"{whole:,} {rest}/{value.denominator}" if rest else f"{whole:,}"
