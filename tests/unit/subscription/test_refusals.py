"""Refusal messages: one table, with each message formatted from the refusal's parameters."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from subscription.messages import KINDS, Kind, Message, format_message, places_in
from subscription.refusals import SENTENCES, Problem, Refusal, RefusalCode, key_of

ROOT = Path(__file__).parents[3]
PACKAGES = ("subscription", "adapters", "workflows", "activities", "starter", "dev_stack", "entrypoints")
FACTORIES = {"of", "refusal", "validation_error"}
NO_PARAMETERS = {"reason", "judged_by_catalogue"}

SAMPLES = {
    Kind.DAY: "2027-01-31",
    Kind.MOMENT: "2027-01-31T10:20:30+09:00",
    Kind.NOT_BEFORE: "2027-01-31T10:20:30+09:00",
    Kind.NUMBER: 1234,
    Kind.KRW: 36000,
    Kind.MEMBERS: 25,
    Kind.PLAN: "basic",
    Kind.TEXT: "one thing",
    Kind.TEXTS: ("lite", "basic"),
    Kind.TERMS: ("service/2026-01",),
}


@cache
def calls() -> list[tuple[str, ast.Call]]:
    """Return every call in the product, with its location."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def refusal_calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield every call that creates a refusal with a literal code, with its location."""
    for place, call in calls():
        if _factory(call) in FACTORIES and _code(call):
            yield place, call


def _factory(call: ast.Call) -> str | None:
    match call.func:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id="Refusal" | "Problem"), attr=name):
            return name
    return None


def _code(call: ast.Call) -> str | None:
    match call.args:
        case [ast.Attribute(value=ast.Name(id="RefusalCode"), attr=code), *_]:
            return code
    return None


def _reason(call: ast.Call) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == "reason"), None)


def test_raised_refusals_match_their_message_parameters() -> None:
    for place, call in refusal_calls():
        reason = _reason(call)
        if reason is not None and not isinstance(reason, ast.Constant):
            continue  # one of several reasons, covered by the tests of the rules
        key = key_of(str(_code(call)), str(reason.value) if reason else None)
        assert key in SENTENCES, place
        given = {keyword.arg for keyword in call.keywords if keyword.arg} - NO_PARAMETERS
        if all(keyword.arg for keyword in call.keywords):
            assert given == places_in(SENTENCES[key]), place


def test_refusal_messages_are_defined_only_in_the_table() -> None:
    for place, call in calls():
        if isinstance(call.func, ast.Name) and call.func.id == "Refusal":
            in_table = place.startswith("subscription/refusals.py:")
            assert in_table or not any(keyword.arg == "message" for keyword in call.keywords), place


def test_refusal_table_matches_the_codes() -> None:
    assert {key.partition(".")[0] for key in SENTENCES} == {code.value for code in RefusalCode}
    assert all(places_in(template) <= KINDS.keys() for template in SENTENCES.values())


def test_refusal_messages_format_with_their_parameters() -> None:
    for key, sentence in SENTENCES.items():
        code, _, reason = key.partition(".")
        values: dict[str, Any] = {name: SAMPLES[KINDS[name]] for name in places_in(sentence)}
        refused = Refusal.of(RefusalCode(code), "date", reason=reason or None, **values)
        assert "%(" not in refused.message, key
        assert refused.message == format_message(Message(template=sentence, parameters=refused.parameters))
        assert Refusal.model_validate_json(refused.model_dump_json()) == refused
        problem = Problem.of(RefusalCode(code), "date", reason=reason or None, **values)
        assert (problem.key, problem.message) == (key, refused.message)


def test_a_parameter_is_written_by_its_kind() -> None:
    refused = Refusal.of(
        RefusalCode.TERMS_NOT_AGREED, reason="MISSING", terms=("service/2026-01", "privacy/2026-02")
    )
    assert refused.message == "Agree to service (2026-01), privacy (2026-02) to continue."
    assert refused.parameters == {"terms": ("service/2026-01", "privacy/2026-02")}
    assert Refusal.of(RefusalCode.ADJUSTED_TOO_MUCH, left=36000).message == (
        "At most 36,000 KRW of that line can still be credited."
    )
