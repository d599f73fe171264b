"""Capacity estimates for one million subscriptions, and the first bottleneck, from the measured figures."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.metrics import Figure, short
from subscription.reconciliation import ROTATION_NIGHTS

MILLION = 1_000_000
_SECONDS_A_DAY, _DAYS_A_MONTH = 86_400, 30
_WINDOW_SECONDS = 3_600
_COMMANDS_A_MONTH = 0.1
"""Per subscription: a switch in its first month, and an occasional upgrade or renewal option."""
_MONTHS_A_RUN, _EVENTS_A_RUN, _ACTIONS_A_RUN = 6, 5, 1
_MEAN_RUN_YEARS = _MONTHS_A_RUN / 12 / 2
"""The mean age of current runs. Closed runs are deleted after the namespace's retention."""
_PAGES_A_COMMIT = 14
"""The rows of subscription, event and ledger line, their indexes, and the write-ahead log."""
_TARGET_UTILIZATION = 0.7
"""The planned utilization of the CPU cores of workers and servers."""

_RECONCILIATION = "nightly reconciliation of "

ACTIONS_INCLUDED = 2_500_000
ACTION_TIERS = ((5, 50), (5, 45), (10, 40), (30, 35), (50, 30), (100, 25))
"""Temporal Cloud's Business plan: pairs of a tier's size in million actions, and the dollars per million."""
ACTIVE_STORAGE_A_GBH = 0.042
PLAN_AT_LEAST, PLAN_SHARE = 500, 0.10
PRICES_AS_OF = "November 2026"
PRICES_FROM = "https://docs.temporal.io/evaluate/cloud/pricing"


@dataclass(frozen=True)
class ResourceNeed:
    resource: str
    amount: str
    basis: str
    """The calculation, with the figures that it is based on."""


def resource_needs(figures: Sequence[Figure]) -> list[ResourceNeed]:
    """Estimate the resources for a million active subscriptions, on machines like the benchmark machine.

    Raises `LookupError` if a required figure was not measured.
    """
    value = {figure.name: statistics.median(figure.ours) for figure in figures if figure.ours}
    actions = value["billable actions of Temporal Cloud per billing month"] + _ACTIONS_A_RUN / _MONTHS_A_RUN
    events = value["history events per billing month"] + _EVENTS_A_RUN / _MONTHS_A_RUN
    kilobytes = value["history per subscription-year"]
    rate = value[_named("month end: ", value)]
    cpu = value["month end: worker CPU per line"]
    replay_cpu = value[_named("worker CPU to replay a subscription", value)]
    database_cpu = value["month end: PostgreSQL's CPU per line"]
    database = value["database size per subscription-year"]
    invoices = value["invoices issued"]
    night, subscriptions = _reconciliation(value)
    lines_a_second = MILLION / _WINDOW_SECONDS
    monthly_actions = MILLION * (actions + 3 * _COMMANDS_A_MONTH)
    storage = kilobytes * _MEAN_RUN_YEARS / 1e6 * MILLION
    dollars = cloud_dollars(monthly_actions, storage)
    return [
        ResourceNeed(
            "month-end run on one machine with two cores and all servers",
            f"{MILLION / rate / 3600:.1f} hours",
            f"a million at {short(rate)} a second, with short histories, Temporal on SQLite",
        ),
        ResourceNeed(
            "ledger lines per second, to finish the month-end run in an hour",
            f"{lines_a_second:.0f}",
            "a million in the billing window of an hour",
        ),
        ResourceNeed(
            "worker processes in that hour, with one core each",
            f"{math.ceil(lines_a_second * (cpu + replay_cpu) / 1000 / _TARGET_UTILIZATION)}",
            f"{short(cpu)} ms per line, and {short(replay_cpu)} ms on average to replay its subscription, "
            f"because few workflows are cached; CPU utilization {_TARGET_UTILIZATION:.0%}",
        ),
        ResourceNeed(
            "worker processes for the rest of the month",
            "2",
            "one is enough, because idle workflows cost a worker nothing; the second is for deployments and "
            "failures",
        ),
        ResourceNeed(
            "Temporal: events per second in that hour",
            f"{lines_a_second * events:,.0f}",
            f"{short(events)} per billing month, with a new run each {_MONTHS_A_RUN} months",
        ),
        ResourceNeed(
            "self-hosted Temporal: history shards",
            "512",
            "a common number, which cannot be changed later; a shard then gets "
            f"{lines_a_second * events / 512:.1f} events per second in that hour",
        ),
        ResourceNeed(
            "Temporal: histories of the current runs",
            f"{storage:,.0f} GB",
            f"{short(kilobytes)} KB per subscription-year, in runs of a mean age of {_MEAN_RUN_YEARS * 12:g} "
            "months; closed runs are added for the namespace's retention",
        ),
        ResourceNeed(
            "Temporal Cloud: actions per month",
            f"{monthly_actions / 1e6:,.1f} million",
            f"{short(actions)} per billing month, and {_COMMANDS_A_MONTH} commands of three actions each",
        ),
        ResourceNeed(
            "Temporal Cloud: cost per month",
            f"${dollars:,.0f}",
            f"actions by tier, {storage:,.0f} GB of active storage for {24 * _DAYS_A_MONTH} hours, "
            "and the Business plan",
        ),
        ResourceNeed(
            "PostgreSQL: size after a year",
            f"{database * MILLION / 1e6:,.0f} GB",
            f"{short(database)} KB per subscription with its events, lines and indexes",
        ),
        ResourceNeed(
            "PostgreSQL: commits per second in that hour",
            f"{lines_a_second:.0f}",
            f"one per line; each writes about {_PAGES_A_COMMIT} pages of tables and indexes: at most "
            f"{_PAGES_A_COMMIT * lines_a_second:,.0f} IOPS, before checkpoints combine them",
        ),
        ResourceNeed(
            "PostgreSQL: cores in that hour",
            f"{math.ceil(lines_a_second * database_cpu / 1000 / _TARGET_UTILIZATION)}",
            f"{short(database_cpu)} ms per line; CPU utilization {_TARGET_UTILIZATION:.0%}",
        ),
        ResourceNeed(
            "monthly invoicing",
            f"{MILLION / 2 / invoices / 3600:.1f} hours",
            f"one per two subscriptions at {short(invoices)} per second, sequentially, because their numbers "
            "have no gaps",
        ),
        ResourceNeed(
            "nightly reconciliation",
            f"{night / subscriptions * MILLION / 3600:.1f} hours",
            f"{short(night)} s for {subscriptions:,}; one of {ROTATION_NIGHTS} workflows is queried",
        ),
    ]


def first_bottleneck(figures: Sequence[Figure]) -> str:
    """Return a sentence about the first job that no longer fits into its time as subscriptions increase."""
    value = {figure.name: statistics.median(figure.ours) for figure in figures if figure.ours}
    night, subscriptions = _reconciliation(value)
    fits = {
        "the nightly reconciliation within six hours": 6 * 3600 / night * subscriptions,
        "the month-end run within an hour": _WINDOW_SECONDS * value[_named("month end: ", value)],
        "monthly invoicing within a day": _SECONDS_A_DAY * value["invoices issued"] * 2,
    }
    by_limit = sorted(fits, key=lambda job: fits[job])
    limits = "; ".join(f"{job}: {fits[job]:,.0f}" for job in by_limit)
    return (
        f"With all servers on the benchmark machine, the first bottleneck is {by_limit[0]}. "
        f"Maximum number of subscriptions: {limits}."
    )


def cloud_dollars(actions: float, gigabytes: float) -> float:
    """Return the cost of a month on the Business plan.

    Beyond the last tier, prices are negotiable; the last tier's price is used.
    """
    left, spent = max(actions - ACTIONS_INCLUDED, 0.0) / 1e6, 0.0
    for millions, dollars in ACTION_TIERS:
        spent += min(left, millions) * dollars
        left = max(left - millions, 0.0)
    spent += left * ACTION_TIERS[-1][1]
    spent += gigabytes * 24 * _DAYS_A_MONTH * ACTIVE_STORAGE_A_GBH
    return spent + max(PLAN_AT_LEAST, PLAN_SHARE * spent)


def _reconciliation(value: Mapping[str, float]) -> tuple[float, int]:
    """Return the seconds of the nightly reconciliation and its number of subscriptions."""
    name = _named(_RECONCILIATION, value)
    return value[name], int(name.removeprefix(_RECONCILIATION).split()[0].replace(",", ""))


def _named(beginning: str, value: Mapping[str, float]) -> str:
    """Return the name of the first figure with this prefix; raises `LookupError` if none was measured."""
    for name in value:
        if name.startswith(beginning):
            return name
    raise LookupError(beginning)
