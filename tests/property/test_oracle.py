"""The oracle, compared with the given examples and with sums calculated by hand."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.sizes import SIZES

from property.oracle import (
    OracleSubscription,
    as_date,
    as_instant,
    cost_of,
    days_between,
    evaluate,
    months_after,
)
from property.scenario_strategies import catalogues, subscriptions

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.yaml"))

# Kept here and not read from the service, so that the examples stay valid for any later catalogue.
CATALOGUE: dict[str, Any] = tomllib.loads("""
version = "2026-11"
effective_from = 2026-11-01
timezone = "Asia/Seoul"
currency = "KRW"
[trial]
days = 30
grace_days = 30
[cancellation]
fee_percent = 10
[account]
rename_lock_hours = 24
max_members = 100000
[[terms]]
id = "service"
version = "2026-01"
required = true
[plans.lite]
title = "Lite"
rank = 1
list = 3600
annual = 3000
[plans.basic]
title = "Basic"
rank = 2
list = 7200
annual = 6000
[plans.premium]
title = "Premium"
rank = 3
list = 12000
annual = 10000
""")


def evaluated(request: dict[str, Any], *steps: dict[str, Any], until: str, **policy: Any) -> dict[str, Any]:
    """Evaluate a scenario with the default catalogue and changes of the trial policy."""
    catalogue = {**CATALOGUE, "trial": {**CATALOGUE["trial"], **policy}}
    return evaluate({"request": request, "steps": list(steps), "until": until}, catalogue)


def lines(result: dict[str, Any], *keys: str) -> list[tuple[Any, ...]]:
    """Return these columns of the ledger."""
    return [tuple(line[key] for key in keys) for line in result["ledger"]]


def kst(day: str, time: str = "00:00:00") -> str:
    """Return an instant in Korean time."""
    return f"{day}T{time}+09:00"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_oracle_reproduces_the_examples(path: Path) -> None:
    """Every column in the expected result matches, and the ledger has no other lines."""
    expected = json.loads(path.with_suffix(".expected.json").read_text("utf-8"))
    result = evaluate(yaml.safe_load(path.read_text("utf-8")), CATALOGUE)
    wanted = expected["ledger"]
    columns = list(wanted[0]) if wanted else []
    shown = [{key: line[key] for key in columns} for line in result["ledger"]]
    assert {**{key: result[key] for key in expected}, "ledger": shown} == expected


def test_there_are_sixteen_examples() -> None:
    """An empty directory must not pass as reproduced."""
    assert len(EXAMPLES) == 16


def test_dates_are_read_whether_yaml_parsed_them_or_not() -> None:
    """YAML turns unquoted dates into objects, JSON leaves strings."""
    text = EXAMPLES[1].read_text("utf-8")
    parsed = yaml.safe_load(text)
    unparsed = yaml.load(text, Loader=yaml.BaseLoader)
    unparsed["request"]["members"] = int(unparsed["request"]["members"])
    assert evaluate(parsed, CATALOGUE) == evaluate(unparsed, CATALOGUE)
    assert as_instant("2026-12-31T15:00:00Z") == as_instant(kst("2027-01-01"))
    assert as_date("2027-01-01") == as_date(date(2027, 1, 1))


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        ("2027-01-31", 1, "2027-02-28"),
        ("2027-01-31", 2, "2027-03-31"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2028-02-29", 48, "2032-02-29"),
        ("2027-12-31", 1, "2028-01-31"),
        ("2028-03-01", -1, "2028-02-01"),
        ("2028-01-01", -1, "2027-12-01"),
    ],
)
def test_r18_month_arithmetic(day: str, months: int, later: str) -> None:
    """Days are clamped, also across the end of the year."""
    assert months_after(date.fromisoformat(day), months) == date.fromisoformat(later)


def test_r18_monthly_chain_keeps_its_31st() -> None:
    """31 January, 28 February, 31 March: later months do not count from the clamped day."""
    subscription = OracleSubscription(
        {"at": kst("2027-01-31"), "plan": "lite", "account": {"group": "acme"}}, CATALOGUE
    )
    assert subscription.obey("switch_to_paid", {"date": "2027-01-31", "term": "MONTHLY"})
    ends = []
    for _ in range(4):
        ends.append(subscription.period_end.isoformat())
        subscription.run_to(as_instant(kst(ends[-1])))
    assert ends == ["2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]


def test_r21_example_of_the_rules() -> None:
    """10 members, 3,600 until 15 March, 7,200 from then on."""
    march = days_between(date(2027, 3, 1), date(2027, 4, 1))
    assert int(cost_of(3600, 10, march[:14])) == 16_258
    assert int(cost_of(7200, 10, march[14:])) == 39_483
    assert cost_of(3600, 10, march) == 36_000


def test_r30_example_of_the_rules() -> None:
    """An annual contract of 10 members at 3,000 instead of 3,600, cancelled after six months."""
    result = evaluated(
        {"at": kst("2026-12-20"), "plan": "lite", "members": 10},
        {"at": kst("2027-01-01"), "switch_to_paid": {"date": "2027-01-01", "term": "ANNUAL"}},
        {"at": kst("2027-07-01", "15:00:00"), "cancel": {"date": "2027-07-01"}},
        until=kst("2027-07-01", "15:00:00"),
    )
    assert lines(result, "kind", "from", "to", "amount", "effective_at")[-2:] == [
        ("DISCOUNT_REPAYMENT", "2027-01-01", "2027-07-01", 36_000, kst("2027-07-01", "15:00:00")),
        ("EARLY_TERMINATION_FEE", "2027-07-01", "2028-01-01", 18_000, kst("2027-07-01", "15:00:00")),
    ]


@pytest.mark.parametrize(
    ("step", "fees"),
    [
        # Started by a renewal: the day is the day after the end of the previous period.
        ({"change_renewal_option": {"term": "ANNUAL"}}, []),
        # Started by an upgrade: not the day after an end, so the whole year remains.
        ({"upgrade": {"term": "ANNUAL"}}, [("EARLY_TERMINATION_FEE", "2027-03-10", "2028-03-10", 36_000)]),
    ],
)
def test_r30_the_first_day_of_an_annual_period(step: dict[str, Any], fees: list[tuple[Any, ...]]) -> None:
    """A cancellation is free after a renewal, and only then."""
    requested_at = kst("2027-03-09") if "change_renewal_option" in step else kst("2027-03-10")
    result = evaluated(
        {"at": kst("2027-02-10"), "plan": "lite", "members": 10},
        {"at": kst("2027-02-10"), "switch_to_paid": {"date": "2027-02-10", "term": "MONTHLY"}},
        {"at": requested_at, **step},
        {"at": kst("2027-03-10", "23:59:59"), "cancel": {"date": "2027-03-10"}},
        until=kst("2027-03-11"),
    )
    assert result["accepted"] == [True, True, True]
    assert lines(result, "kind", "from", "to", "amount") == [
        ("SERVICE_FEE", "2027-02-10", "2027-03-01", 24_428),
        ("SERVICE_FEE", "2027-03-01", "2027-03-10", 10_451),
        *fees,
    ]


@pytest.mark.parametrize(
    ("until", "state"),
    [
        (kst("2027-02-13", "09:59:59"), "TRIAL"),
        (kst("2027-02-13", "10:00:00"), "ERASED"),
    ],
)
def test_r15_no_grace_ends_with_the_trial(until: str, state: str) -> None:
    """The scenario runs exactly up to `until`."""
    request = {"at": kst("2027-01-14", "10:00:00"), "plan": "lite", "account": {"group": "acme"}}
    assert evaluated(request, until=until, grace_days=0)["state"] == state


@pytest.mark.parametrize(
    ("at", "last"),
    [("00:00:00", "2027-03-14"), ("00:00:01", "2027-03-15")],
)
def test_r16_the_last_date_starts_before_the_grace_ends(at: str, last: str) -> None:
    """A date whose start is the very end of the grace is too late."""
    request = {"at": kst("2027-01-14", at), "plan": "lite", "account": {"group": "acme"}}
    steps = [
        {"at": kst("2027-01-15"), "switch_to_paid": {"date": f"2027-03-{day}", "term": "MONTHLY"}}
        for day in (14, 15, 16)
    ]
    accepted = evaluated(request, *steps, until=kst("2027-01-15"))["accepted"]
    assert accepted == [f"2027-03-{day}" <= last for day in (14, 15, 16)]


def test_r24_reserved_cancellation_keeps_the_option() -> None:
    """The option is not used while a cancellation is reserved; it applies at the next end after that."""
    result = evaluated(
        {"at": kst("2027-01-10"), "plan": "basic", "members": 10},
        {"at": kst("2027-01-10"), "switch_to_paid": {"date": "2027-01-10", "term": "MONTHLY"}},
        {"at": kst("2027-01-11"), "change_renewal_option": {"term": "MONTHLY", "plan": "lite"}},
        {"at": kst("2027-01-12"), "cancel": {"date": "2027-12-31"}},
        {"at": kst("2027-02-10"), "withdraw_reservation": {}},
        until=kst("2027-04-01"),
    )
    assert lines(result, "from", "to", "plan") == [
        ("2027-01-10", "2027-02-01", "basic"),
        ("2027-02-01", "2027-03-01", "basic"),
        ("2027-03-01", "2027-03-10", "basic"),
        ("2027-03-10", "2027-04-01", "lite"),
    ]


def test_r25_only_overtaken_values_are_raised() -> None:
    """An upgrade of the members does not change the lower plan that was chosen for later."""
    subscription = OracleSubscription({"at": kst("2027-01-10"), "plan": "basic", "members": 10}, CATALOGUE)
    assert subscription.obey("switch_to_paid", {"date": "2027-01-10", "term": "ANNUAL"})
    assert subscription.obey("change_renewal_option", {"term": "ANNUAL", "plan": "lite", "members": 5})
    assert subscription.obey("upgrade", {"plan": "basic", "members": 11})
    assert subscription.option == {"term": "ANNUAL", "plan": "lite", "members": 11}
    assert subscription.obey("upgrade", {"plan": "premium"})
    assert subscription.option == {"term": "ANNUAL", "plan": "premium", "members": 11}


def test_r11_access_follows_domain_verification() -> None:
    """A domain is restricted until its first verification; a group never is."""
    domain = {"at": kst("2027-01-10"), "plan": "lite", "account": {"domain": "acme.co.kr"}}
    proofs = [{"at": kst("2027-01-11"), "confirm_domain": {}}] * 2
    assert evaluated(domain, until=kst("2027-01-11"))["access"] == "RESTRICTED"
    verified = evaluated(domain, *proofs, until=kst("2027-01-11"))
    assert (verified["accepted"], verified["access"]) == ([True, False], "FULL")
    assert evaluated(domain, *proofs, until=kst("2027-02-09"))["access"] == "NONE"
    lost = evaluated(domain, {"at": kst("2027-01-11"), "lose_domain": {}}, *proofs, until=kst("2027-01-11"))
    assert (lost["accepted"], lost["access"]) == ([True, False, False], "NONE")
    group = {"at": kst("2027-01-10"), "plan": "lite", "account": {"group": "acme"}}
    assert evaluated(group, *proofs, until=kst("2027-01-11"))["accepted"] == [False, False]


@given(catalogues())
def test_generated_catalogues_are_consistent(catalogue: dict[str, Any]) -> None:
    """The conditions below the table of states hold."""
    plans = sorted(catalogue["plans"].values(), key=lambda plan: int(plan["rank"]))
    assert len({plan["rank"] for plan in plans}) == len(plans)
    assert all(0 <= plan["annual"] <= plan["list"] for plan in plans)
    for price in ("list", "annual"):
        assert [plan[price] for plan in plans] == sorted(plan[price] for plan in plans)


@settings(max_examples=SIZES.oracle_cases // 2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(subscriptions(), st.data())
def test_oracle_evaluates_generated_scenarios(
    subscription: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject
) -> None:
    """They are JSON and in time order, and a prefix of the steps has a prefix of the ledger."""
    catalogue, scenario = subscription
    assert json.loads(json.dumps(scenario)) == scenario
    instants = [as_instant(step["at"]) for step in scenario["steps"]]
    instants = [as_instant(scenario["request"]["at"]), *instants, as_instant(scenario["until"])]
    assert instants == sorted(instants)

    result = evaluate(scenario, catalogue)
    assert len(result["accepted"]) == len(scenario["steps"])
    assert all(line["amount"] > 0 and line["from"] < line["to"] for line in result["ledger"])
    keys = [(line["kind"], line["from"]) for line in result["ledger"]]
    assert len(set(keys)) == len(keys)

    cut = data.draw(st.integers(0, len(scenario["steps"])))
    shorter = {**scenario, "steps": scenario["steps"][:cut], "until": instants[cut].isoformat()}
    before = evaluate(shorter, catalogue)
    assert before["accepted"] == result["accepted"][:cut]
    assert before["ledger"] == result["ledger"][: len(before["ledger"])]
