"""What one million subscriptions need, reckoned from what was measured, and what of it gives way first."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.metrics import Figure, short

MILLION = 1_000_000
_SECONDS_A_DAY, _DAYS_A_MONTH = 86_400, 30
_SPREAD_SECONDS = 3_600
_COMMANDS_A_MONTH = 0.1
"""Of each subscription: a switch in its first month, now and then an upgrade or a renewal option."""
_HISTORY_KEPT_YEARS = 1
_PAGES_A_COMMIT = 14
"""The subscription's row, event and line, their indexes, and the log."""
_BUSIEST = 0.7
"""Of what a worker or a server can do, so much is used on purpose."""

_NIGHT = "nightly reconcile over "

ACTIONS_INCLUDED = 2_500_000
ACTION_TIERS = ((5, 50), (5, 45), (10, 40), (30, 35), (50, 30), (100, 25))
"""Temporal Cloud's Business plan: so many million actions of a month at so many dollars a million each."""
ACTIVE_STORAGE_A_GBH = 0.042
PLAN_AT_LEAST, PLAN_SHARE = 500, 0.10
PRICES_AS_OF = "November 2026"
PRICES_FROM = "https://docs.temporal.io/evaluate/cloud/pricing"


@dataclass(frozen=True)
class Need:
    what: str
    amount: str
    reckoned: str
    """How, in words that name the figures it comes from."""


def needs(figures: Sequence[Figure]) -> list[Need]:
    """For a million subscriptions that are active, on machines like the one that was measured.

    Raises `LookupError` if a figure that it takes was not measured.
    """
    value = {figure.name: statistics.median(figure.ours) for figure in figures if figure.ours}
    actions = value["billable actions of Temporal Cloud per billing month"]
    events = value["history events per billing month"]
    kilobytes = value["history per subscription-year"]
    rate = value[_named("the 1st: ", value)]
    cpu = value["the 1st: worker CPU for each"]
    taking_up = value[_named("worker CPU to take up a life", value)]
    database_cpu = value["the 1st: PostgreSQL's CPU for each"]
    database = value["database, for each of them and a year"]
    invoices = value["invoices issued"]
    night, reconciled = _of_a_night(value)
    lines_a_second = MILLION / _SPREAD_SECONDS
    monthly_actions = MILLION * (actions + 3 * _COMMANDS_A_MONTH)
    storage = kilobytes * _HISTORY_KEPT_YEARS / 1e6 * MILLION
    dollars = cloud_dollars(monthly_actions, storage)
    return [
        Need(
            "the 1st's wave, by one machine of two cores with all servers on it",
            f"{MILLION / rate / 3600:.1f} hours",
            f"a million at {short(rate)} a second, with short histories, Temporal on SQLite",
        ),
        Need(
            "lines a second, for the wave to end with its hour",
            f"{lines_a_second:.0f}",
            "a million in the hour over which the wake-ups are spread",
        ),
        Need(
            "worker processes for that, of a core each",
            f"{math.ceil(lines_a_second * (cpu + taking_up) / 1000 / _BUSIEST)}",
            f"{short(cpu)} ms for each line, and {short(taking_up)} ms to take up its life, for hardly any "
            f"of them is in a worker's memory; cores used to {_BUSIEST:.0%}",
        ),
        Need(
            "worker processes for the rest of the month",
            "2",
            "one would do, for who sleeps costs a worker nothing; the second is for deployments and failures",
        ),
        Need(
            "Temporal: events a second in that hour",
            f"{lines_a_second * events:,.0f}",
            f"{short(events)} for each billing month",
        ),
        Need(
            "Temporal of one's own: history shards",
            "512",
            "the usual number; a shard then takes "
            f"{lines_a_second * events / 512:.1f} events a second in the wave. It can never be changed later",
        ),
        Need(
            "Temporal's histories after a year",
            f"{storage:,.0f} GB",
            f"{short(kilobytes)} KB for each subscription-year, all of it of running workflows",
        ),
        Need(
            "Temporal Cloud: actions a month",
            f"{monthly_actions / 1e6:,.1f} million",
            f"{short(actions)} a billing month, and {_COMMANDS_A_MONTH} commands of three actions each",
        ),
        Need(
            "Temporal Cloud: a month",
            f"${dollars:,.0f}",
            f"actions by their tiers, {storage:,.0f} GB of active storage for {24 * _DAYS_A_MONTH} hours, "
            "and the Business plan",
        ),
        Need(
            "PostgreSQL: size after a year",
            f"{database * MILLION / 1e6:,.0f} GB",
            f"{short(database)} KB for each subscription with its events, lines and indexes",
        ),
        Need(
            "PostgreSQL: commits a second in that hour",
            f"{lines_a_second:.0f}",
            f"one for each; it writes some {_PAGES_A_COMMIT} pages of tables and indexes, which is "
            f"{_PAGES_A_COMMIT * lines_a_second:,.0f} IOPS at most, before checkpoints gather them",
        ),
        Need(
            "PostgreSQL: cores in that hour",
            f"{math.ceil(lines_a_second * database_cpu / 1000 / _BUSIEST)}",
            f"{short(database_cpu)} ms for each line, cores used to {_BUSIEST:.0%}",
        ),
        Need(
            "invoices of a month",
            f"{MILLION / 2 / invoices / 3600:.1f} hours",
            f"one for two subscriptions at {short(invoices)} a second, one after the other, for their "
            "numbers leave no gap",
        ),
        Need(
            "the nightly comparison",
            f"{night / reconciled * MILLION / 3600:.1f} hours",
            f"{short(night)} s for {reconciled:,} here; each workflow is asked, which replays it",
        ),
    ]


def first_bottleneck(figures: Sequence[Figure]) -> str:
    """Which of these no longer fits into its time first as subscriptions become more."""
    value = {figure.name: statistics.median(figure.ours) for figure in figures if figure.ours}
    night, reconciled = _of_a_night(value)
    fits = {
        "the nightly comparison within six hours": 6 * 3600 / night * reconciled,
        "the 1st's wave within its hour": _SPREAD_SECONDS * value[_named("the 1st: ", value)],
        "the invoices of a month within a day": _SECONDS_A_DAY * value["invoices issued"] * 2,
    }
    what = min(fits, key=lambda each: fits[each])
    listed = "; ".join(f"{each}: {fits[each]:,.0f}" for each in sorted(fits, key=lambda each: fits[each]))
    return f"On the machine that was measured, with all servers on it, {what} is what ends first ({listed})."


def cloud_dollars(actions: float, gigabytes: float) -> float:
    """A month on the Business plan; beyond the last tier the last price is taken, where one would ask."""
    left, spent = max(actions - ACTIONS_INCLUDED, 0.0) / 1e6, 0.0
    for millions, dollars in ACTION_TIERS:
        spent += min(left, millions) * dollars
        left = max(left - millions, 0.0)
    spent += left * ACTION_TIERS[-1][1]
    spent += gigabytes * 24 * _DAYS_A_MONTH * ACTIVE_STORAGE_A_GBH
    return spent + max(PLAN_AT_LEAST, PLAN_SHARE * spent)


def _of_a_night(value: Mapping[str, float]) -> tuple[float, int]:
    """Seconds of the nightly comparison, and of how many subscriptions."""
    name = _named(_NIGHT, value)
    return value[name], int(name.removeprefix(_NIGHT).split()[0].replace(",", ""))


def _named(beginning: str, value: Mapping[str, float]) -> str:
    """The first figure whose name begins so. Raises `LookupError` if none was measured."""
    for name in value:
        if name.startswith(beginning):
            return name
    raise LookupError(beginning)
