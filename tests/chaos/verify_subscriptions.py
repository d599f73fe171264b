"""Verification of one subscription: the expected data by the rules and the oracle, and the actual data.

This module does not call the service. It compares the responses to callers and the data in PostgreSQL and
Temporal with the results of pure functions for the same commands.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any

from property import oracle

from subscription.business_calendar import KST
from subscription.catalogue import PriceBook
from subscription.scenario import CONFIRM_DOMAIN, LOSE_DOMAIN, ScenarioResult, read_scenario, simulate

from .drive_subscription import SubscriptionRun
from .observed_state import Facts
from .planned_subscriptions import CATALOGUE, PlannedSubscription

_COLUMNS = ("key", "kind", "from", "to", "plan", "members", "amount", "effective_at")


@dataclass(frozen=True)
class Expected:
    """The expected result of a subscription by the rules, and by the oracle, which supports no renames."""

    document: ScenarioResult
    by_oracle: dict[str, Any]
    account: str
    """Its name at the end, if it is active."""
    answers: list[str]
    """The IDs of the accepted commands."""
    agreements: int
    """The number of agreements to the terms: with the request, and with each upgrade."""

    @property
    def is_terminal(self) -> bool:
        return self.document.final.state.is_terminal


def expected_of(
    planned: PlannedSubscription, subscription_id: str, book: PriceBook, *, has_lost: bool = False
) -> Expected:
    """Return the expected result; `has_lost`: another subscription was the first to prove the domain."""
    steps = planned.scenario["steps"]
    if has_lost:
        steps = [_lost(step) for step in steps]
    document = simulate(read_scenario({**planned.scenario, "steps": steps}), book, subscription_id)
    [account] = planned.scenario["request"]["account"].values()
    accepted = [
        oracle.command_of(step)
        for step, outcome in zip(steps, document.outcomes, strict=True)
        if outcome.accepted
    ]
    for command, argument in accepted:
        if command == "rename_account":
            account = argument["group"]
    known = [_in_oracle_format(step) for step in steps if "rename_account" not in step]
    return Expected(
        document=document,
        by_oracle=oracle.evaluate({**planned.scenario, "steps": known}, CATALOGUE),
        account=account,
        answers=sorted(planned.stored_id(argument["id"]) for _, argument in accepted if "id" in argument),
        agreements=1 + sum(command == "upgrade" for command, _ in accepted),
    )


def domains_without_one_winner(
    run_records: Sequence[SubscriptionRun], facts: Mapping[str, Facts]
) -> Iterator[str]:
    """Yield the domains that not exactly one of the subscriptions that claimed them has verified (R12)."""
    verified: Counter[str] = Counter()
    for run_record in run_records:
        domain = run_record.planned.scenario["request"]["account"].get("domain")
        if domain and run_record.is_over:
            events = [event for _, event, *_ in facts[run_record.subscription_id].events]
            verified[domain] += events.count("DOMAIN_CONFIRMED")
    for domain, count in verified.items():
        if count != 1:
            yield f"{domain} was verified by {count} subscriptions"


def _lost(step: dict[str, Any]) -> dict[str, Any]:
    return {"at": step["at"], LOSE_DOMAIN: {}} if CONFIRM_DOMAIN in step else step


def _in_oracle_format(step: dict[str, Any]) -> dict[str, Any]:
    """Convert an option: the oracle has null for none; the wire format has an object because of the ID."""
    option = step.get("change_renewal_option")
    return {**step, "change_renewal_option": None} if option and option["term"] is None else step


def differences(run_record: SubscriptionRun, expected: Expected, facts: Facts) -> list[str]:
    """Return all differences between expected and actual data, each as a sentence."""
    if not run_record.is_over:
        return [f"it is stuck: {run_record.doing}"]
    return [
        *_of_responses(run_record, expected),
        *_of_events(expected, facts),
        *_of_lines(expected, facts),
        *_of_oracle(run_record, expected, facts),
        *_of_row(run_record.planned, expected, facts),
        *(
            _of_erased_subscription(facts)
            if expected.is_terminal
            else _of_active_subscription(expected, facts)
        ),
        *(f"a workflow task failed: {failure}" for failure in facts.failed_tasks),
    ]


def remains_of_refused_request(facts: Facts) -> list[str]:
    """Return the data that a refused request has left behind; there must be none (R9)."""
    left = {
        "a row": facts.row,
        "events": facts.events,
        "lines": facts.lines,
        "names": facts.names,
        "rows that may name a person": facts.personal,
        "a running workflow": facts.running,
        "its words in": sorted(facts.found_in),
    }
    return [f"the refused request has left {what}: {found}" for what, found in left.items() if found]


# -- responses to callers ----------------------------------------------------------------------------


def _of_responses(run_record: SubscriptionRun, expected: Expected) -> Iterator[str]:
    accepted = [copies[0]["accepted"] for copies in run_record.requests]
    if accepted.count(True) != 1:
        yield f"{accepted.count(True)} of {len(accepted)} requests for one name were accepted"
    for copies in run_record.requests:
        yield from _of_copies("a request", copies)
        if not copies[0]["accepted"] and "NAME_TAKEN" not in str(copies[0]):
            yield f"a rival's request was refused with {copies[0]['code']}"
    for place, (copies, outcome) in enumerate(
        zip(run_record.answers, expected.document.outcomes, strict=True)
    ):
        what = f"step {place} ({outcome.command} at {outcome.at})"
        yield from _of_copies(what, copies)
        response = (copies[0]["accepted"], copies[0]["code"])
        if response != (outcome.accepted, outcome.code):
            yield f"{what} got the response {response}, by the rules it is {(outcome.accepted, outcome.code)}"


def _of_copies(what: str, copies: list[dict[str, Any]]) -> Iterator[str]:
    for copy in copies[1:]:
        if copy != copies[0]:
            yield f"{what} was repeated and got a different response: {copies[0]}, then {copy}"


# -- events and charges ------------------------------------------------------------------------------


def _of_events(expected: Expected, facts: Facts) -> Iterator[str]:
    due = [(entry.event, entry.state.value, entry.at) for entry in expected.document.timeline]
    numbers = [number for number, *_ in facts.events]
    if numbers != [*range(1, len(numbers) + 1)]:
        yield f"the events are numbered {numbers}"
    wanted, found = Counter(event for event, *_ in due), Counter(event for _, event, *_ in facts.events)
    for event, count in (wanted - found).items():
        yield f"{event} is missing, {count} of {wanted[event]} times"
    for event, count in (found - wanted).items():
        yield f"{event} is there {count} times too often"
    if wanted != found:
        return
    for (event, state, at), (number, recorded, recorded_state, recorded_at) in zip(
        due, facts.events, strict=True
    ):
        if recorded != event:
            yield f"event {number} is {recorded}, instead of {event}"
        elif recorded_at != at:
            yield f"event {number}, {event}, is dated {_written(recorded_at)} and was due {_written(at)}"
        elif recorded_state != state:
            yield f"after event {number}, {event}, it is {recorded_state} instead of {state}"


def _of_lines(expected: Expected, facts: Facts) -> Iterator[str]:
    due = {
        line.key: shown | {"key": line.key}
        for line, shown in zip(expected.document.ledger, expected.document.to_json()["ledger"], strict=True)
    }
    charged = [_in_document_format(line) for line in facts.lines]
    for key, count in Counter(line["key"] for line in charged).items():
        if count > 1:
            yield f"the line {key} is there {count} times"
    for key in due.keys() - {line["key"] for line in charged}:
        yield f"the line {key} is missing: {due[key]['amount']} KRW"
    for line in charged:
        right = due.get(line["key"])
        if right is None:
            yield f"the line {line['key']} is one too many: {line['amount']} KRW"
            continue
        for column in _COLUMNS:
            if line[column] != right[column]:
                yield f"the line {line['key']} has {column} {line[column]}, right is {right[column]}"
    if sorted(due) == sorted(line["key"] for line in charged) and [*due] != [line["key"] for line in charged]:
        yield "the lines are not in the order in which they were due"


def _of_oracle(run_record: SubscriptionRun, expected: Expected, facts: Facts) -> Iterator[str]:
    """Compare charges and end with the oracle, which shares no code with the service."""
    charged = [
        {column: value for column, value in _in_document_format(line).items() if column != "key"}
        for line in facts.lines
    ]
    for place, (found, right) in enumerate(zip_longest(charged, expected.by_oracle["ledger"]), start=1):
        if found != right:
            yield f"line {place} is {found}, by the oracle {right}"
    response = [
        copies[0]["accepted"]
        for step, copies in zip(run_record.planned.scenario["steps"], run_record.answers, strict=True)
        if "rename_account" not in step
    ]
    if response != expected.by_oracle["accepted"]:
        yield f"accepted were {response}, by the oracle {expected.by_oracle['accepted']}"
    if facts.row and facts.row["state"] != expected.by_oracle["state"]:
        yield f"it is {facts.row['state']}, by the oracle {expected.by_oracle['state']}"


def _of_row(planned: PlannedSubscription, expected: Expected, facts: Facts) -> Iterator[str]:
    final, row = expected.document.final, facts.row
    if row is None:
        yield "it has no row"
        return
    right = {
        "state": final.state,
        "access": final.access,
        "sequence": len(expected.document.timeline),
        "next_deadline": final.next and final.next.what,
        "next_deadline_at": final.next and final.next.at,
    }
    for column, value in right.items():
        if row[column] != value:
            yield f"its row has {column} {row[column]}, right is {value}"
    answered = sorted(id_ for id_ in facts.answers if planned.chose(id_))
    if answered != expected.answers:
        yield f"responses are stored for the commands {answered}, accepted were {expected.answers}"
    if facts.agreements != expected.agreements:
        yield f"the terms were agreed to {facts.agreements} times, right is {expected.agreements}"


# -- final state -------------------------------------------------------------------------------------


def _of_active_subscription(expected: Expected, facts: Facts) -> Iterator[str]:
    if facts.names != [expected.account]:
        yield f"it has the names {facts.names}, right is {expected.account}"
    workspace, row = facts.workspace, facts.row
    if row and (
        workspace is None or any(workspace[key] != row[key] for key in ("plan", "members", "access"))
    ):
        yield f"its workspace is {workspace}, and its row says {row}"
    if not facts.running:
        yield "its workflow does not run"
    if facts.pending_activities:
        yield f"{facts.pending_activities} activities of it are still pending"
    if facts.needs_attention:
        yield "NeedsAttention is still set"
    if facts.certificates:
        yield f"it is active, and its erasure is certified: {facts.certificates}"


def _of_erased_subscription(facts: Facts) -> Iterator[str]:
    for table, rows in facts.personal.items():
        yield f"it is erased, and {table} still has {rows} rows of it"
    for where in sorted(facts.found_in):
        yield f"it is erased, and its personal data is in {where}"
    if facts.certificates != ["DATABASE", "HISTORIES"]:
        yield f"its erasure is certified for {facts.certificates}"
    if facts.row and facts.row["request_fingerprint"] is not None:
        yield "the fingerprint of its request is still there"
    if facts.running or facts.runs > 1:
        yield f"{facts.runs} runs of its workflow can be read, running: {facts.running}"


def _in_document_format(line: dict[str, Any]) -> dict[str, Any]:
    """Return a ledger line of the database in the format of a scenario document."""
    return {
        "key": line["key"],
        "kind": line["kind"],
        "from": line["first_day"].isoformat(),
        "to": line["end_day"].isoformat(),
        "plan": line["plan"],
        "members": line["members"],
        "amount": line["amount"],
        "effective_at": _written(line["effective_at"]),
    }


def _written(moment: datetime) -> str:
    return moment.astimezone(KST).isoformat()
