"""Attention reasons: short, of a known kind, and without personal data."""

import pytest

from subscription.attention import Attention, AttentionKind, effect_fails, read_attention


@pytest.mark.parametrize(
    "argument", [None, [], "true", {}, {"needed": "yes"}, {"needed": None}, {"reason": "a"}]
)
def test_empty_argument_is_ignored(argument: object) -> None:
    assert read_attention(argument) is None


@pytest.mark.parametrize(
    ("given", "kind", "reason"),
    [
        ({}, AttentionKind.OPERATOR, None),
        ({"reason": "T-4711: look, please"}, AttentionKind.OPERATOR, "T-4711: look, please"),
        ({"kind": "COMPARISON", "reason": "ROW_DIFFERS"}, AttentionKind.COMPARISON, "ROW_DIFFERS"),
        ({"kind": "EFFECT_FAILS"}, AttentionKind.OPERATOR, None),
        ({"kind": ["COMPARISON"]}, AttentionKind.OPERATOR, None),
        ({"reason": "admin@acme"}, AttentionKind.OPERATOR, None),
        ({"reason": "two\nlines"}, AttentionKind.OPERATOR, None),
        ({"reason": "the value 'secret'"}, AttentionKind.OPERATOR, None),
        ({"reason": ""}, AttentionKind.OPERATOR, None),
        ({"reason": "a" * 101}, AttentionKind.OPERATOR, None),
        ({"reason": 5}, AttentionKind.OPERATOR, None),
    ],
)
def test_invalid_attention_fields_are_dropped(
    given: dict[str, object], kind: AttentionKind, reason: str | None
) -> None:
    for needed in (True, False):
        assert read_attention({"needed": needed, **given}) == (needed, Attention(kind=kind, reason=reason))


def test_attention_names_failing_activity_and_error() -> None:
    attention = effect_fails("record_transition", "UndefinedTableError")
    assert attention.text == "EFFECT_FAILS: record_transition fails with UndefinedTableError"
    assert effect_fails("record_transition", "a@b").reason is None
