"""Changes of the group name or domain name: R10."""

from collections.abc import Callable
from typing import Any

import pytest
from support.scenario_builder import BOOK, ScenarioBuilder, book_of, catalogue, default_catalogue, on

from subscription.account import Account, AccountKind
from subscription.refusals import RefusalCode


def group(name: str) -> Account:
    return Account(kind=AccountKind.GROUP, name=name)


def domain(name: str) -> Account:
    return Account(kind=AccountKind.DOMAIN, name=name)


def released(subscription: ScenarioBuilder) -> tuple[str, ...]:
    """Return the names that the last event released."""
    event = subscription.events[-1]
    assert event.event in ("ACCOUNT_RENAMED", "RENAME_HELD", "RENAME_WITHDRAWN")
    return tuple(event.released)


def acme(**changes: Any) -> ScenarioBuilder:
    return ScenarioBuilder.requested("2027-01-01 09:00", **{"account": {"group": "acme"}, **changes})


# -- permission and frequency ------------------------------------------------------------------------


def in_trial() -> ScenarioBuilder:
    return acme()


def in_grace() -> ScenarioBuilder:
    return acme().at("2027-02-01 09:00")


def active() -> ScenarioBuilder:
    return acme().send("switch_to_paid", term="ANNUAL")


@pytest.mark.parametrize("started", [in_trial, in_grace, active])
def test_r10_every_commandable_subscription_may_change_its_name(
    started: Callable[[], ScenarioBuilder],
) -> None:
    assert started().send("rename_account", group="other").state.account == group("other")


def test_r10_ended_subscription_may_not_change_its_name() -> None:
    subscription = acme().send("cancel")
    assert subscription.expect_refusal("rename_account", group="other").code is RefusalCode.SUBSCRIPTION_ENDED
    subscription.at(subscription.now)
    assert subscription.state.state == "ERASED"
    assert subscription.expect_refusal("rename_account", group="other").code is RefusalCode.SUBSCRIPTION_ENDED


def test_r10_at_most_once_in_24_hours_from_the_last_change() -> None:
    subscription = acme().at("2027-01-05 09:00").send("rename_account", group="second")
    subscription.at("2027-01-06 08:59:59")
    assert (
        subscription.expect_refusal("rename_account", group="third").code is RefusalCode.RENAMED_TOO_RECENTLY
    )
    assert (
        subscription.expect_refusal("rename_account", domain="acme.kr").code
        is RefusalCode.RENAMED_TOO_RECENTLY
    )
    subscription.at("2027-01-06 09:00").send("rename_account", group="third")


def test_r10_the_first_change_need_not_wait() -> None:
    acme().send("rename_account", group="second")


@pytest.mark.parametrize(("hours", "free_at"), [(0, "2027-01-05 09:00"), (48, "2027-01-07 09:00")])
def test_r10_waiting_time_is_policy(hours: int, free_at: str) -> None:
    book = book_of(catalogue(account={"rename_lock_hours": hours}))
    subscription = ScenarioBuilder.requested("2027-01-01 09:00", book).at("2027-01-05 09:00")
    subscription.send("rename_account", group="second").at(free_at).send("rename_account", group="third")


def test_r10_time_in_the_refusal_is_late_enough() -> None:
    # The change was made 30 seconds past the minute. A retry at the minute in the refusal must succeed.
    subscription = acme().at("2027-01-05 09:00:30").send("rename_account", group="second")
    refusal_text = subscription.at("2027-01-06 09:00").expect_refusal("rename_account", group="third").message
    assert "2027-01-06 09:00:30" in refusal_text or "2027-01-06 09:01" in refusal_text


@pytest.mark.parametrize("name", ["line", "A", "-a", "lineworks"])
def test_r04_r10_new_name_follows_the_spelling_rules(name: str) -> None:
    assert acme().expect_refusal("rename_account", group=name).field == "group"


# -- group name, effective immediately ---------------------------------------------------------------


def test_r10_group_name_changes_immediately_and_frees_old_name() -> None:
    subscription = acme().send("rename_account", group="other")
    assert subscription.state.account == group("other")
    assert released(subscription) == ("acme",)


def test_r10_rename_changes_only_the_name() -> None:
    subscription = active().send("cancel", date="2027-07-01")
    before = subscription.state
    after = subscription.at("2027-01-05 09:00").send("rename_account", group="other").state
    untouched = {"account", "renamed_at", "sequence", "last_at"}
    assert before.model_dump(exclude=untouched) == after.model_dump(exclude=untouched)


def test_r10_r27_the_typed_confirmation_follows_the_name() -> None:
    subscription = acme().send("rename_account", group="other")
    assert (
        subscription.expect_refusal("cancel", confirmation="admin@acme").code
        is RefusalCode.CONFIRMATION_DIFFERS
    )
    subscription.send("cancel", confirmation="admin@other")


def test_r10_r11_unverified_domain_to_group_lifts_restriction() -> None:
    subscription = acme(account={"domain": "acme.co.kr"})
    assert subscription.state.access == "RESTRICTED"
    subscription.send("rename_account", group="acme")
    assert (subscription.state.access, subscription.state.pending_domains, released(subscription)) == (
        "FULL",
        (),
        ("acme.co.kr",),
    )


def test_r10_same_text_of_other_kind_is_another_name() -> None:
    # "a-b" is a valid group name, but here it is the first label of a domain.
    subscription = acme(account={"domain": "acme.kr"}).proves("acme.kr").send("rename_account", group="acme")
    assert subscription.state.account == group("acme")


# -- domain name, effective on verification ----------------------------------------------------------


def test_r10_pending_domain_keeps_old_name_and_access() -> None:
    subscription = acme().send("rename_account", domain="acme.co.kr")
    assert (subscription.state.account, subscription.state.access) == (group("acme"), "FULL")
    assert [domain.name for domain in subscription.state.pending_domains] == ["acme.co.kr"]
    assert released(subscription) == ()


def test_r10_domain_name_takes_effect_on_verification() -> None:
    subscription = acme().send("rename_account", domain="acme.co.kr")
    subscription.at("2027-01-03 12:00").proves("acme.co.kr")
    assert (subscription.state.account, subscription.state.access) == (domain("acme.co.kr"), "FULL")
    assert (released(subscription), subscription.state.pending_domains) == (("acme",), ())


def test_r10_waiting_day_counts_from_effective_domain_change() -> None:
    subscription = (
        acme().send("rename_account", domain="acme.co.kr").at("2027-01-05 12:00").proves("acme.co.kr")
    )
    subscription.at("2027-01-06 11:59:59")
    assert (
        subscription.expect_refusal("rename_account", group="again").code is RefusalCode.RENAMED_TOO_RECENTLY
    )
    subscription.at("2027-01-06 12:00").send("rename_account", group="again")


def test_r10_pending_rename_is_no_change_and_is_replaceable() -> None:
    subscription = acme().send("rename_account", domain="one.kr").send("rename_account", domain="two.kr")
    assert [domain.name for domain in subscription.state.pending_domains] == ["two.kr"]
    assert released(subscription) == ("one.kr",)
    assert subscription.at("2027-01-02 09:00").proves("one.kr").state.account == group("acme")
    assert subscription.proves("two.kr").state.account == domain("two.kr")


def test_r10_group_name_replaces_held_domain_and_frees_names() -> None:
    subscription = acme().send("rename_account", domain="one.kr").send("rename_account", group="other")
    assert (subscription.state.account, subscription.state.pending_domains) == (group("other"), ())
    assert sorted(released(subscription)) == ["acme", "one.kr"]


def test_r10_repeated_rename_keeps_proof_and_schedule() -> None:
    subscription = acme().send("rename_account", domain="one.kr")
    held = subscription.state.pending_rename_domain
    subscription.at("2027-01-01 10:00").send("rename_account", domain="one.kr")
    assert (subscription.state.pending_rename_domain, released(subscription)) == (held, ())


def test_r10_renaming_to_current_name_withdraws_the_held_name() -> None:
    subscription = acme().send("rename_account", domain="one.kr").send("rename_account", group="acme")
    assert (subscription.state.account, subscription.state.pending_domains, released(subscription)) == (
        group("acme"),
        (),
        ("one.kr",),
    )
    # A withdrawal is not a name change, so the next change has no waiting time.
    subscription.send("rename_account", group="other")


def test_r10_renaming_to_current_name_without_held_is_refused() -> None:
    assert acme().expect_refusal("rename_account", group="acme").code is RefusalCode.NAME_UNCHANGED


def test_r10_unverified_domain_is_replaced_by_another() -> None:
    subscription = acme(account={"domain": "one.kr"}).send("rename_account", domain="two.kr")
    assert (subscription.state.account, subscription.state.access) == (domain("one.kr"), "RESTRICTED")
    subscription.proves("two.kr")
    assert (subscription.state.account, subscription.state.access) == (domain("two.kr"), "FULL")
    assert (released(subscription), subscription.state.pending_domains) == (("one.kr",), ())


def test_r10_both_domains_verified_in_one_check() -> None:
    subscription = (
        acme(account={"domain": "one.kr"}).send("rename_account", domain="two.kr").proves("one.kr", "two.kr")
    )
    assert subscription.event_names[-2:] == ["DOMAIN_CONFIRMED", "ACCOUNT_RENAMED"]
    assert (subscription.state.account, subscription.state.access) == (domain("two.kr"), "FULL")


def test_r10_a_held_name_ends_with_the_subscription() -> None:
    subscription = acme().send("rename_account", domain="one.kr").at("2027-03-02 09:00")
    assert (subscription.state.state, subscription.state.pending_domains) == ("ERASED", ())


def test_r10_waiting_time_follows_the_current_catalogue() -> None:
    book = book_of(default_catalogue(), catalogue("2027-01-06", account={"rename_lock_hours": 48}))
    subscription = ScenarioBuilder.requested("2027-01-05 12:00", book).send("rename_account", group="second")
    answer = subscription.at("2027-01-06 12:00").expect_refusal("rename_account", group="third")
    assert answer.code is RefusalCode.RENAMED_TOO_RECENTLY
    # A newer catalogue could allow the change, so the command is validated again after publication.
    assert answer.judged_by_catalogue


def test_r10_the_moment_of_the_change_is_kept() -> None:
    subscription = acme().at("2027-01-05 09:00").send("rename_account", group="other")
    assert subscription.state.renamed_at == on("2027-01-05 09:00")
    assert subscription.book is BOOK
