"""The verifier of the chaos run reports every error injected into an otherwise correct subscription."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from adapters.settings import DEFAULT_CATALOGUE, read_catalogue
from subscription.catalogue import PriceBook

from .drive_subscription import SubscriptionRun
from .observed_state import Facts
from .planned_subscriptions import PlannedSubscription
from .verify_subscriptions import (
    Expected,
    differences,
    domains_without_one_winner,
    expected_of,
    remains_of_refused_request,
)

COLUMNS = ("key", "first_day", "end_day", "plan", "members", "amount", "effective_at")
BOOK = PriceBook(versions=(read_catalogue(DEFAULT_CATALOGUE),))
NOON = datetime.fromisoformat("2026-12-20T12:00:00+09:00")
REQUEST = {
    "at": "2026-12-20T10:00:00+09:00",
    "plan": "basic",
    "members": 10,
    "account": {"group": "zq1q"},
    "admin_id": "admin.zq1q",
}
STEPS = [
    {
        "at": "2026-12-21T09:00:00+09:00",
        "switch_to_paid": {"date": "2027-01-01", "term": "ANNUAL", "id": "1-0"},
    },
    {"at": "2027-02-10T09:00:00+09:00", "upgrade": {"members": 5, "id": "1-1"}},
    {"at": "2027-03-15T09:00:00+09:00", "upgrade": {"members": 20, "id": "1-2"}},
]
END = {"at": "2027-06-01T09:00:00+09:00", "cancel": {"date": "2027-06-01", "id": "1-3"}}


def subscription(*, ends: bool) -> tuple[SubscriptionRun, Expected, Facts]:
    """Return a subscription, its expected result, and facts that match the result."""
    scenario = {
        "name": "subscription 1",
        "request": REQUEST,
        "steps": [*STEPS, END] if ends else STEPS,
        "until": "2027-06-01T09:00:00+09:00",
    }
    planned = PlannedSubscription(number=1, marker="zq1q", scenario=scenario, rivals=1, api_customer=None)
    right = expected_of(planned, "the-id", BOOK)
    run_record = SubscriptionRun(planned, "the-id", is_over=True)
    run_record.requests = [[{"accepted": True, "code": None, "answer": {}}]]
    run_record.answers = [
        [{"accepted": outcome.accepted, "code": outcome.code, "answer": {}}]
        for outcome in right.document.outcomes
    ]
    return run_record, right, facts_of(right)


def facts_of(right: Expected) -> Facts:
    document = right.document
    final = document.final
    row = {
        "state": final.state.value,
        "access": final.access.value,
        "plan": "basic",
        "members": 20,
        "sequence": len(document.timeline),
        "next_deadline": final.next and final.next.what,
        "next_deadline_at": final.next and final.next.at,
        "request_fingerprint": None if right.is_terminal else "…",
    }
    return Facts(
        row=row,
        events=[
            (number, entry.event, entry.state.value, entry.at)
            for number, entry in enumerate(document.timeline, start=1)
        ],
        lines=[
            {column: getattr(line, column) for column in COLUMNS} | {"kind": line.kind.value}
            for line in document.ledger
        ],
        answers=list(right.answers),
        agreements=right.agreements,
        names=[] if right.is_terminal else [right.account],
        workspace=None
        if right.is_terminal
        else {key: row[key] for key in ("plan", "members", "access")} | {"account_name": right.account},
        certificates=["DATABASE", "HISTORIES"] if right.is_terminal else [],
        runs=1,
        running=not right.is_terminal,
    )


@pytest.mark.parametrize("ends", [True, False])
def test_verifier_accepts_subscription_that_follows_the_rules(*, ends: bool) -> None:
    run_record, right, facts = subscription(ends=ends)
    assert differences(run_record, right, facts) == []
    kinds = {line["kind"] for line in facts.lines}
    assert kinds == (
        {"SERVICE_FEE", "DISCOUNT_REPAYMENT", "EARLY_TERMINATION_FEE"} if ends else {"SERVICE_FEE"}
    )


def doubled_event(run_record: SubscriptionRun, facts: Facts) -> None:
    _, *rest = facts.events[3]
    facts.events.append((len(facts.events) + 1, *rest))  # type: ignore[arg-type]


def late_event(run_record: SubscriptionRun, facts: Facts) -> None:
    number, event, state, at = facts.events[2]
    facts.events[2] = number, event, state, at + timedelta(seconds=1)


def swapped_events(run_record: SubscriptionRun, facts: Facts) -> None:
    (first, *one), (second, *other) = facts.events[1:3]
    facts.events[1:3] = [(first, *other), (second, *one)]  # type: ignore[list-item]


def doubled_line(run_record: SubscriptionRun, facts: Facts) -> None:
    facts.lines.append(facts.lines[0])


def refused_upgrade_in_effect(run_record: SubscriptionRun, facts: Facts) -> None:
    facts.answers.append("1-1")


def another_answer(run_record: SubscriptionRun, facts: Facts) -> None:
    run_record.answers[0].append({"accepted": True, "code": None, "answer": {"message": "again"}})


PLANTED: dict[str, tuple[Callable[[SubscriptionRun, Facts], object], str]] = {
    "a wrong amount": (lambda _, facts: facts.lines[1].update(amount=1), "has amount 1, right is 60000"),
    "and the oracle sees it too": (lambda _, facts: facts.lines[1].update(amount=1), "by the oracle"),
    "a missing line": (
        lambda _, facts: facts.lines.pop(0),
        "the line the-id/SERVICE_FEE/2027-01-01 is missing",
    ),
    "a doubled line": (doubled_line, "the line the-id/SERVICE_FEE/2027-01-01 is there 2 times"),
    "a line too many": (
        lambda _, facts: facts.lines[0].update(key="the-id/SERVICE_FEE/2026-12-31"),
        "the line the-id/SERVICE_FEE/2026-12-31 is one too many",
    ),
    "lines in another order": (
        lambda _, facts: facts.lines.reverse(),
        "not in the order in which they were due",
    ),
    "a late line": (
        lambda _, facts: facts.lines[0].update(effective_at=facts.lines[1]["effective_at"]),
        "has effective_at 2027-03-01T00:00:00+09:00, right is 2027-02-01T00:00:00+09:00",
    ),
    "a doubled event": (doubled_event, "SERVICE_FEES_POSTED is there 1 times too often"),
    "a missing event": (lambda _, facts: facts.events.pop(2), "SWITCHED_TO_PAID is missing, 1 of 1 times"),
    "a gap in the numbers": (lambda _, facts: facts.events.pop(2), "the events are numbered [1, 2, 4, 5"),
    "a late event": (
        late_event,
        "SWITCHED_TO_PAID, is dated 2027-01-01T00:00:01+09:00 and was due 2027-01-01T00:00:00+09:00",
    ),
    "two events in the wrong order": (swapped_events, "instead of"),
    "a refused command that took effect": (refused_upgrade_in_effect, "responses are stored for"),
    "an accepted command without effect": (lambda _, facts: facts.answers.pop(), "accepted were"),
    "copies answered differently": (another_answer, "was repeated and got a different response"),
    "a refusal that should have been none": (
        lambda run_record, _: run_record.answers[0][0].update(accepted=False, code="DATE_TOO_LATE"),
        "got the response (False, 'DATE_TOO_LATE'), by the rules it is (True, None)",
    ),
    "two requests for one name": (
        lambda run_record, _: run_record.requests.append(run_record.requests[0]),
        "2 of 2 requests for one name were accepted",
    ),
    "a row that was not kept up": (
        lambda _, facts: (facts.row or {}).update(state="TRIAL"),
        "its row has state TRIAL",
    ),
    "a stuck subscription": (
        lambda run_record, _: setattr(run_record, "is_over", False),
        "it is stuck: waiting to begin",
    ),
    "a failed task": (lambda _, facts: facts.failed_tasks.append("…"), "a workflow task failed"),
}
PLANTED_IN_THE_ERASED: dict[str, tuple[Callable[[SubscriptionRun, Facts], object], str]] = {
    "a row left behind": (
        lambda _, facts: facts.personal.update(companies=1),
        "companies still has 1 rows of it",
    ),
    "a remaining marker": (
        lambda _, facts: facts.found_in.add("ledger_lines"),
        "personal data is in ledger_lines",
    ),
    "no certificate": (lambda _, facts: facts.certificates.pop(), "is certified for ['DATABASE']"),
    "a run left behind": (lambda _, facts: setattr(facts, "runs", 2), "2 runs of its workflow can be read"),
    "a fingerprint": (lambda _, facts: (facts.row or {}).update(request_fingerprint="…"), "the fingerprint"),
}
PLANTED_IN_THE_LIVING: dict[str, tuple[Callable[[SubscriptionRun, Facts], object], str]] = {
    "a name lost": (lambda _, facts: facts.names.clear(), "it has the names [], right is zq1q"),
    "a workspace of yesterday": (
        lambda _, facts: (facts.workspace or {}).update(members=10),
        "its workspace is",
    ),
    "nobody there": (lambda _, facts: setattr(facts, "running", False), "its workflow does not run"),
    "something pending": (lambda _, facts: setattr(facts, "pending_activities", 1), "still pending"),
    "a call for attention": (lambda _, facts: setattr(facts, "needs_attention", True), "NeedsAttention"),
}
CASES = [
    pytest.param(ends, inject, message, id=f"{what}{'' if ends else ', of an active subscription'}")
    for ends, cases in (
        (True, PLANTED | PLANTED_IN_THE_ERASED),
        (False, PLANTED | PLANTED_IN_THE_LIVING),
    )
    for what, (inject, message) in cases.items()
]


@pytest.mark.parametrize(("ends", "inject", "message"), CASES)
def test_verifier_reports_injected_errors(
    ends: bool, inject: Callable[[SubscriptionRun, Facts], object], message: str
) -> None:
    run_record, right, facts = subscription(ends=ends)
    inject(run_record, facts)
    assert any(message in difference for difference in differences(run_record, right, facts))


def test_verifier_reports_remains_of_refused_request() -> None:
    assert remains_of_refused_request(Facts()) == []
    assert remains_of_refused_request(Facts(names=["zq1q"])) == [
        "the refused request has left names: ['zq1q']"
    ]


@pytest.mark.parametrize("winners", [0, 2])
def test_verifier_reports_domain_without_one_winner(winners: int) -> None:
    run_records, facts = [], {}
    for number in range(2):
        scenario = {"name": "a claim", "request": {**REQUEST, "account": {"domain": "zq1q.example"}}}
        planned = PlannedSubscription(number, f"zq{number}q", scenario, rivals=1, api_customer=None)
        event = "DOMAIN_CONFIRMED" if number < winners else "DOMAIN_LOST"
        run_records.append(SubscriptionRun(planned, f"id-{number}", is_over=True))
        facts[f"id-{number}"] = Facts(events=[(2, event, "TRIAL", NOON)])
    assert [*domains_without_one_winner(run_records, facts)] == [
        f"zq1q.example was verified by {winners} subscriptions"
    ]
