"""docs/notices.md lists every notice kind, state and policy of the code."""

from support.markdown_pages import page, tables

from subscription.catalogue import NoticePolicy
from subscription.notice_outbox import NoticeKind, NoticeState

TABLES = tables(page("docs/notices.md"))


def column(name: str) -> list[str]:
    [table] = [each for each in TABLES if each.header[0] == name]
    return table.column(name)


def test_every_kind_and_state_is_explained() -> None:
    assert column("notice") == list(NoticeKind)
    assert column("state") == list(NoticeState)


def test_every_policy_is_explained_with_its_default() -> None:
    [table] = [each for each in TABLES if each.header[0] == "policy"]
    defaults = {
        name: str(list(value) if isinstance(value, tuple) else value) for name, value in NoticePolicy()
    }
    assert {name: default for name, default, _ in table.rows} == defaults
