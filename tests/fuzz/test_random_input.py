"""Bulk random input: each is accepted by the rules or refused with a code; nothing else happens.

The seed of each input is its number, so a failure is reproducible.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.scenario_builder import BOOK, catalogue_text, on, request_body
from support.sizes import SIZES
from temporalio.api.common.v1 import Payload

from adapters.settings import read_catalogue
from adapters.settings_error import SettingsError
from adapters.temporal.data_converter import data_converter
from entrypoints.cli.yaml_documents import DocumentError, read_documents
from subscription.adjustment import AdjustmentRequest
from subscription.apply import apply_all
from subscription.business_calendar import KST
from subscription.catalogue import Catalogue, CatalogueError, PriceBook, parse_catalogue
from subscription.commands import COMMANDS, Command, QuoteCancellation, parse_command, parse_quote
from subscription.decide import Decision, decide, start_trial
from subscription.due_events import advance
from subscription.forecast import Quote, quote_cancellation
from subscription.refusals import Problem, Refusal, RefusalCode
from subscription.request import Request, parse_request
from subscription.scenario import ScenarioError, read_scenario, simulate
from subscription.state import Subscription, provisioning
from subscription.validation import is_storable, parse_strict, problems_from

from .mutations import Mutator

INPUTS = SIZES.hostile_inputs

NOW = on("2027-03-15 09:00")
_CODES = frozenset(RefusalCode)
_BIGINT = 2**63
_CATALOGUE_CODES = _CODES | {"CATALOGUE_MISFIT", "CATALOGUE_SYNTAX"}

COMMANDS_IN_ORDER: Mapping[str, Mapping[str, Any]] = {
    "switch_to_paid": {"date": "2027-03-15", "term": "ANNUAL", "plan": "premium", "members": 20},
    "change_renewal_option": {"term": "ANNUAL", "plan": "lite", "members": 5},
    "upgrade": {
        "plan": "premium",
        "members": 20,
        "term": "ANNUAL",
        "agreed_terms": request_body()["agreed_terms"],
    },
    "cancel": {"date": "2027-03-15", "confirmation": "admin@acme"},
    "withdraw_reservation": {},
    "rename_account": {"group": "other"},
    "check_domain": {},
}
CARRIED = {"id": "order-1", "by": "Hong Gildong", "at": "2027-03-15T09:00:00+09:00"}


def _subscription_after(*commands: tuple[str, Mapping[str, Any]], account: Mapping[str, str]) -> Subscription:
    """Build a subscription requested an hour ago that has executed these commands."""
    request = parse_request(request_body(account=account), BOOK, NOW)
    assert isinstance(request, Request)
    began = NOW - timedelta(hours=1)
    started = start_trial(began, request.account.account, request.agreed_terms, BOOK.versions[0], "token")
    state = apply_all(provisioning("subscription", request), (started,))
    for name, argument in commands:
        command = parse_command(name, argument)
        assert isinstance(command, Command)
        decision = decide(state, command, NOW, BOOK)
        assert isinstance(decision, Decision)
        state = apply_all(state, decision.events)
    return state


GROUP = {"group": "acme"}
STATES = (
    _subscription_after(account=GROUP),
    _subscription_after(account={"domain": "acme.kr"}),
    _subscription_after(("switch_to_paid", {"date": "2027-03-15", "term": "MONTHLY"}), account=GROUP),
    _subscription_after(("cancel", {"date": "2027-03-20", "confirmation": "admin@acme"}), account=GROUP),
    advance(
        _subscription_after(("cancel", {"date": "2027-03-15", "confirmation": "admin@acme"}), account=GROUP),
        NOW,
        BOOK,
    ),
)


def _check_refusal(refused: Refusal) -> str:
    """Check that the refusal has a message, known codes and a bounded size, and return its code."""
    assert refused.message
    for problem in refused.problems:
        assert problem.code in _CODES
    assert len(refused.model_dump_json().encode()) < 100_000
    return refused.code


def _check_storable(written: str) -> None:
    """Check that PostgreSQL can store the text: no NUL character and no surrogates."""
    assert is_storable(written)
    assert "\\u0000" not in written.replace("\\\\", "")


def _first_code(problems: Sequence[Problem], known: Set[str]) -> str:
    codes = [problem.code for problem in problems]
    assert {*codes} <= known
    return codes[0]


def _try_request(mutator: Mutator) -> str:
    read = parse_request(
        mutator.mutated(request_body(simulated_at=CARRIED["at"], contact_email="it@acme.example")), BOOK, NOW
    )
    if isinstance(read, Refusal):
        return _check_refusal(read)
    _check_storable(read.model_dump_json())
    assert read.fingerprint()
    return "accepted"


def _try_command(mutator: Mutator) -> str:
    name = mutator.choice_of([*COMMANDS] * 9 + [mutator.text()])
    command = parse_command(name, mutator.mutated({**COMMANDS_IN_ORDER.get(name, {}), **CARRIED}))
    if isinstance(command, Refusal):
        return _check_refusal(command)
    assert is_storable(f"{command.id} {command.by}")
    assert command.fingerprint()
    state = mutator.choice_of(STATES)
    decision = decide(state, command, NOW, BOOK)
    if isinstance(decision, Refusal):
        return _check_refusal(decision)
    for event in decision.events:
        _check_storable(event.model_dump_json())
        assert all(0 < line.amount < _BIGINT for line in event.lines)
    _check_storable(advance(apply_all(state, decision.events), NOW, BOOK).model_dump_json())
    return "accepted"


def _try_quote(mutator: Mutator) -> str:
    query = parse_quote(mutator.mutated({"date": "2027-06-01", "at": CARRIED["at"]}))
    if isinstance(query, Refusal):
        return _check_refusal(query)
    assert isinstance(query, QuoteCancellation)
    quote = quote_cancellation(mutator.choice_of(STATES), query.date, max(query.at or NOW, NOW), BOOK)
    if isinstance(quote, Refusal):
        return _check_refusal(quote)
    assert isinstance(quote, Quote)
    return "accepted"


def _try_payload(mutator: Mutator) -> str:
    """Decode valid or damaged JSON as the workflow does, and parse the command."""
    name = mutator.choice_of([*COMMANDS])
    body = mutator.mutated({**COMMANDS_IN_ORDER[name], **CARRIED})
    payload = Payload(metadata={"encoding": b"json/plain"}, data=mutator.bytes_of(body))
    try:
        argument = data_converter().payload_converter.from_payload(payload)
    except Exception:  # the workflow's own decoder catches every exception, too
        argument = payload.data
    read = parse_command(name, argument)
    return _check_refusal(read) if isinstance(read, Refusal) else "accepted"


def _try_adjustment(mutator: Mutator) -> str:
    body = {
        "subscription_id": "s", "id": "a", "key": "s/SERVICE_FEE/2027-01-01", "amount": -100,
        "reason": "GOODWILL", "reference": "T-1",
    }  # fmt: skip
    try:
        adjust = parse_strict(AdjustmentRequest, mutator.mutated(body))
    except ValueError as error:
        return str(problems_from(error)[0].code)  # type: ignore[arg-type]
    _check_storable(adjust.model_dump_json())
    assert abs(adjust.amount) < _BIGINT
    return "accepted"


SCENARIO = {
    "name": "a life",
    "request": {"at": "2027-01-04T09:00:00+09:00", "plan": "basic", "members": 10, "account": GROUP},
    "steps": [
        {"at": "2027-01-05T09:00:00+09:00", "switch_to_paid": {"date": "2027-01-31", "term": "ANNUAL"}},
        {"at": "2027-03-15T09:00:00+09:00", "upgrade": {"plan": "premium", "members": 20}},
        {"at": "2027-06-01T09:00:00+09:00", "cancel": {"date": "2027-07-01"}},
    ],
    "until": "2027-09-01T00:00:00+09:00",
}
_NEAR = datetime(2100, 1, 1, tzinfo=KST)


def _try_scenario(mutator: Mutator) -> str:
    try:
        scenario = read_scenario(mutator.mutated(SCENARIO))
    except ScenarioError as error:
        return _first_code(error.problems, _CODES)
    if scenario.until < _NEAR:  # processing thousands of years is slow but must succeed
        assert simulate(scenario, BOOK, "subscription").to_json()
    return "accepted"


def _try_catalogue(mutator: Mutator) -> str:
    text = mutator.corrupted(catalogue_text().encode()).decode("utf-8", "replace")
    try:
        catalogue = parse_catalogue(text)
    except CatalogueError as error:
        return _first_code([problem for _, problem in error.problems], _CATALOGUE_CODES)
    written = catalogue.model_dump_json()
    _check_storable(written)
    assert PriceBook(versions=(Catalogue.model_validate_json(written),)).versions[0] == catalogue
    return "accepted"


KINDS: Mapping[str, tuple[Callable[[Mutator], str], float]] = {
    "requests": (_try_request, 0.35),
    "commands": (_try_command, 0.35),
    "payloads": (_try_payload, 0.15),
    "quotes": (_try_quote, 0.05),
    "adjustments": (_try_adjustment, 0.03),
    "scenarios": (_try_scenario, 0.04),
    "catalogues": (_try_catalogue, 0.03),
}


@pytest.mark.parametrize("kind", [*KINDS])
def test_random_input_is_accepted_or_refused_with_a_code(kind: str) -> None:
    of_one, share = KINDS[kind]
    codes: Counter[str] = Counter()
    for seed in range(int(INPUTS * share)):
        try:
            codes[of_one(Mutator(seed))] += 1
        except Exception as error:
            raise AssertionError(f"{kind}, seed {seed}: {error!r}") from error
    print(f"{codes.total():,} {kind}: {dict(codes.most_common())}")
    assert codes["accepted"] > 0
    assert len(codes) > 1


def test_random_file_is_read_or_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    outcomes: Counter[str] = Counter()
    for seed in range(INPUTS // 50):
        mutator = Mutator(seed)
        written = yaml.safe_dump(SCENARIO, allow_unicode=True).encode()
        file.write_bytes(
            mutator.corrupted(written if seed % 2 else mutator.bytes_of(mutator.mutated(SCENARIO)))
        )
        try:
            outcomes["read"] += bool(read_documents(file))
        except DocumentError as error:
            outcomes[str(error).removeprefix(str(file))[:2]] += 1
    print(f"{outcomes.total():,} files of YAML: {dict(outcomes.most_common())}")
    # Refusals with a line, refusals without one for unreadable files, and some accepted files.
    assert {*outcomes} == {"read", ", ", ": "}


def test_random_catalogue_is_read_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.toml"
    read = 0
    for seed in range(INPUTS // 50):
        file.write_bytes(Mutator(seed).corrupted(catalogue_text().encode()))
        with suppress(SettingsError):
            read += bool(read_catalogue(file))
    assert 0 < read < INPUTS // 50


def test_refusals_serialize_to_json() -> None:
    refused = parse_command("cancel", {"a\ud800": 1, "\u202e": 2})
    assert isinstance(refused, Refusal)
    assert json.loads(refused.model_dump_json())["code"] == RefusalCode.INVALID_ARGUMENT
