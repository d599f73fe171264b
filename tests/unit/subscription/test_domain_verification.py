"""Domain ownership verification: R11 to R13."""

from datetime import datetime, timedelta

import pytest
from support.scenario_builder import TOKEN, ScenarioBuilder, book_of, catalogue, default_catalogue, on

from subscription.account import Account, AccountKind
from subscription.decide import domain_check_events
from subscription.domain_verification import (
    DomainPolicy,
    PendingDomain,
    new_pending_domain,
    verification_records,
)
from subscription.refusals import RefusalCode
from subscription.status import status_of

POLICY = default_catalogue().domain
ACME = Account(kind=AccountKind.DOMAIN, name="acme.co.kr")


def on_a_domain() -> ScenarioBuilder:
    return ScenarioBuilder.requested("2027-01-01 09:00", account={"domain": "acme.co.kr"})


# -- R11 ---------------------------------------------------------------------------------------------


def test_r11_a_domain_is_restricted_until_it_is_verified() -> None:
    subscription = on_a_domain()
    assert (subscription.state.state, subscription.state.access) == ("TRIAL", "RESTRICTED")
    assert subscription.proves("acme.co.kr").state.access == "FULL"


def test_r11_group_name_is_never_restricted() -> None:
    subscription = ScenarioBuilder.requested("2027-01-01 09:00", account={"group": "acme"})
    assert (subscription.state.access, subscription.state.pending_domains) == ("FULL", ())


def test_r11_trial_runs_while_domain_is_unverified() -> None:
    waiting, verified = on_a_domain(), on_a_domain().proves("acme.co.kr")
    assert waiting.state.trial_ends_at == verified.state.trial_ends_at == on("2027-01-31 09:00")


def test_r11_switch_is_allowed_and_reports_restriction() -> None:
    assert "restricted" in on_a_domain().send("switch_to_paid", date="2027-01-10", term="ANNUAL").message
    subscription = on_a_domain().send("switch_to_paid", term="ANNUAL")
    assert "restricted" in subscription.message
    assert (subscription.state.state, subscription.state.access) == ("ACTIVE", "RESTRICTED")


def test_r11_verified_domain_reports_no_restriction() -> None:
    subscription = on_a_domain().proves("acme.co.kr").send("switch_to_paid", term="ANNUAL")
    assert "restricted" not in subscription.message
    assert subscription.state.access == "FULL"


def test_r11_the_proof_counts_in_every_state_that_has_access() -> None:
    subscription = on_a_domain().at("2027-02-01 09:00")
    assert (subscription.state.state, subscription.state.access) == ("SUSPENDED", "NONE")
    assert subscription.proves("acme.co.kr").state.access == "NONE"
    assert subscription.send("switch_to_paid", term="MONTHLY").state.access == "FULL"


# -- R12 ---------------------------------------------------------------------------------------------


def test_r12_any_of_three_records_proves_ownership() -> None:
    proof = verification_records("acme.co.kr", "t0ken", POLICY.cname_target)
    assert (proof.txt_name, proof.txt_value) == ("acme.co.kr", "naver-works-verification=t0ken")
    assert (proof.cname_name, proof.cname_target) == ("t0ken.acme.co.kr", "verify.worksmobile.example")
    assert (proof.mx_name, proof.mx_exchange) == ("acme.co.kr", "t0ken.verify.worksmobile.example")


def test_r12_target_of_the_records_is_policy_of_the_newest_version() -> None:
    newer = catalogue("2027-07-01", domain={"cname_target": "proof.example"})
    target = book_of(catalogue(), newer).domain_policy.cname_target
    proof = verification_records("acme.co.kr", "t0ken", target)
    assert (proof.cname_target, proof.mx_exchange) == ("proof.example", "t0ken.proof.example")


def test_r12_each_name_has_its_own_token() -> None:
    subscription = on_a_domain()
    assert subscription.state.pending_domain is not None
    assert (subscription.state.pending_domain.name, subscription.state.pending_domain.token) == (
        "acme.co.kr",
        TOKEN,
    )
    started = subscription.events[0]
    assert started.event == "TRIAL_STARTED"
    assert started.pending_domain == subscription.state.pending_domain


def test_r12_status_shows_pending_dns_records() -> None:
    subscription = on_a_domain().send("rename_account", domain="two.kr")
    shown = status_of(subscription.state, POLICY).proofs
    assert shown == tuple(
        verification_records(name, TOKEN, POLICY.cname_target) for name in ("acme.co.kr", "two.kr")
    )
    assert status_of(subscription.proves("acme.co.kr", "two.kr").state, POLICY).proofs == ()


# -- R12: the domain is lost -------------------------------------------------------------------------


def test_r12_lost_domain_has_no_access_until_renamed() -> None:
    subscription = on_a_domain().loses("acme.co.kr")
    assert subscription.event_names == ["TRIAL_STARTED", "DOMAIN_LOST"]
    assert (subscription.state.state, subscription.state.access) == ("TRIAL", "NONE")
    assert (subscription.state.account, subscription.state.pending_domains) == (ACME, ())
    assert status_of(subscription.state, POLICY).domain_lost
    # The rename follows at once, and the lock of 24 hours counts from it.
    subscription.send("rename_account", group="acme")
    assert (subscription.state.access, subscription.state.domain_lost) == ("FULL", False)
    refused = subscription.at("2027-01-02 08:59").expect_refusal("rename_account", group="other")
    assert refused.code is RefusalCode.RENAMED_TOO_RECENTLY


def test_r12_lost_domain_keeps_contract_charges_and_dates() -> None:
    def life(subscription: ScenarioBuilder) -> ScenarioBuilder:
        subscription.at("2027-01-20 09:00").send("switch_to_paid", term="ANNUAL")
        return subscription.at("2027-03-01 09:00").send("cancel", date="2027-06-15").at("2027-06-15 00:00")

    kept, lost = life(on_a_domain()), life(on_a_domain().loses("acme.co.kr"))
    assert lost.ledger == kept.ledger != []
    assert [name for name in lost.event_names if name != "DOMAIN_LOST"] == kept.event_names
    assert (lost.state.ended_at, lost.state.state) == (kept.state.ended_at, "ERASED")


def test_r12_switch_on_lost_domain_reports_no_access() -> None:
    subscription = on_a_domain().loses("acme.co.kr").send("switch_to_paid", term="ANNUAL")
    assert "no access" in subscription.message
    assert (subscription.state.state, subscription.state.access) == ("ACTIVE", "NONE")


def test_r12_lost_domain_is_replaced_by_a_verified_one() -> None:
    subscription = on_a_domain().loses("acme.co.kr").send("rename_account", domain="two.kr")
    assert (subscription.state.account, subscription.state.access) == (ACME, "NONE")
    subscription.proves("two.kr")
    assert (subscription.state.account, subscription.state.access) == (
        Account(kind=AccountKind.DOMAIN, name="two.kr"),
        "FULL",
    )


def test_r12_rename_to_lost_domain_is_dropped() -> None:
    group = Account(kind=AccountKind.GROUP, name="acme")
    subscription = ScenarioBuilder.requested("2027-01-01 09:00", account={"group": "acme"})
    subscription.send("rename_account", domain="acme.co.kr").loses("acme.co.kr")
    assert subscription.event_names[-1] == "DOMAIN_LOST"
    assert (subscription.state.account, subscription.state.access) == (group, "FULL")
    assert (subscription.state.pending_domains, subscription.state.domain_lost) == ((), False)
    # A dropped rename is no change of the name, so the next one has no waiting time.
    subscription.send("rename_account", group="other")


def test_r12_each_pending_domain_is_won_or_lost_alone() -> None:
    def both() -> ScenarioBuilder:
        return on_a_domain().send("rename_account", domain="two.kr")

    subscription = both().loses("acme.co.kr", "two.kr")
    assert subscription.event_names[-2:] == ["DOMAIN_LOST", "DOMAIN_LOST"]
    assert (subscription.state.access, subscription.state.pending_domains) == ("NONE", ())
    subscription = both().checks(verified=("two.kr",), lost=("acme.co.kr",))
    assert subscription.event_names[-2:] == ["DOMAIN_LOST", "ACCOUNT_RENAMED"]
    assert (subscription.state.access, subscription.state.domain_lost) == ("FULL", False)
    subscription = both().checks(verified=("acme.co.kr",), lost=("two.kr",))
    assert subscription.event_names[-2:] == ["DOMAIN_CONFIRMED", "DOMAIN_LOST"]
    assert (subscription.state.account, subscription.state.access) == (ACME, "FULL")


def test_r12_domain_verified_elsewhere_is_lost_despite_own_proof() -> None:
    subscription = on_a_domain().checks(verified=("acme.co.kr",), lost=("acme.co.kr",))
    assert subscription.event_names[-1] == "DOMAIN_LOST"
    assert subscription.state.access == "NONE"


def test_r12_checks_stop_after_the_loss() -> None:
    subscription = on_a_domain().loses("acme.co.kr")
    assert subscription.expect_refusal("check_domain").code is RefusalCode.NO_PROOF_AWAITED


# -- R13 ---------------------------------------------------------------------------------------------

SINCE = on("2027-01-01 09:00")


def check_delays(until: datetime, policy: DomainPolicy = POLICY) -> list[timedelta]:
    """Return the delay of each check after the pending_domain, if every check is on time."""
    waiting, found = new_pending_domain("acme.co.kr", TOKEN, SINCE), []
    while (check_time := waiting.next_check_at) <= until:
        found.append(check_time - SINCE)
        waiting = waiting.after_failed_check(check_time, policy)
        assert waiting.next_check_at > check_time
    return found


def test_r13_at_once_then_every_5_minutes_then_hourly_then_daily() -> None:
    minutes = [timedelta(minutes=m) for m in range(0, 60, 5)]
    hours = [timedelta(hours=h) for h in range(1, 72)]
    days = [timedelta(hours=72 + 24 * d) for d in range(4)]
    assert check_delays(SINCE + timedelta(days=6)) == minutes + hours + days


@pytest.mark.parametrize(
    ("checked_at", "following"),
    [
        ("2027-01-01 09:23", "2027-01-01 09:25"),  # four checks were missed, one was made
        ("2027-01-01 09:59:59", "2027-01-01 10:00"),
        ("2027-01-03 01:30", "2027-01-03 02:00"),  # 40½ hours: hourly checks
        ("2027-01-04 08:59", "2027-01-04 09:00"),  # the last hourly check is at 72 hours
        ("2027-01-05 13:00", "2027-01-06 09:00"),  # 100 hours: daily checks, the next at 120 hours
        ("2027-12-31 09:00", "2028-01-01 09:00"),
    ],
)
def test_r13_missed_checks_are_not_repeated(checked_at: str, following: str) -> None:
    waiting = new_pending_domain("acme.co.kr", TOKEN, SINCE).after_failed_check(on(checked_at), POLICY)
    assert waiting.next_check_at == on(following)


def test_r13_requested_check_keeps_the_schedule() -> None:
    # The schedule counts from the pending_domain, so a requested check does not move it.
    waiting = new_pending_domain("acme.co.kr", TOKEN, SINCE).after_failed_check(
        on("2027-01-01 09:05"), POLICY
    )
    assert waiting.after_failed_check(on("2027-01-01 09:07"), POLICY) == waiting


def test_r13_check_schedule_is_policy() -> None:
    policy = DomainPolicy.model_validate(
        {"check_intervals": [{"every_minutes": 30, "up_to_hours": 1}], "then_every_minutes": 120}
    )
    assert check_delays(SINCE + timedelta(hours=5), policy) == [
        timedelta(minutes=m) for m in (0, 30, 60, 180, 300)
    ]


def test_r13_uneven_interval_ends_with_its_stage() -> None:
    policy = DomainPolicy.model_validate(
        {"check_intervals": [{"every_minutes": 40, "up_to_hours": 1}], "then_every_minutes": 60}
    )
    assert check_delays(SINCE + timedelta(hours=2), policy) == [
        timedelta(minutes=m) for m in (0, 40, 60, 120)
    ]


def test_r13_unverified_result_changes_nothing() -> None:
    subscription = on_a_domain()
    before = subscription.state
    subscription.send("check_domain")
    assert "not found yet" in subscription.message
    assert subscription.state == before


def test_r13_checks_continue_while_subscription_is_active() -> None:
    subscription = on_a_domain()
    for moment in ("2027-01-15 09:00", "2027-02-15 09:00", "2027-03-01 09:00"):
        assert [c.name for c in subscription.at(moment).state.pending_domains] == ["acme.co.kr"]
    assert subscription.at("2027-03-02 09:00").state.pending_domains == ()


def test_r13_checks_stop_after_verification() -> None:
    subscription = on_a_domain().proves("acme.co.kr")
    assert subscription.state.pending_domains == ()
    assert subscription.expect_refusal("check_domain").code is RefusalCode.NO_PROOF_AWAITED


def test_r13_group_name_needs_no_check() -> None:
    subscription = ScenarioBuilder.requested("2027-01-01 09:00")
    assert subscription.expect_refusal("check_domain").code is RefusalCode.NO_PROOF_AWAITED


def test_r13_late_verification_changes_nothing() -> None:
    # The result of a check can arrive after the name was released.
    subscription = on_a_domain().send("rename_account", group="acme")
    assert domain_check_events(subscription.state, ("acme.co.kr",), (), subscription.now) == ()
    assert domain_check_events(subscription.state, (), ("acme.co.kr",), subscription.now) == ()


def test_r13_new_claim_is_due_immediately() -> None:
    assert new_pending_domain("acme.co.kr", TOKEN, SINCE) == PendingDomain(
        name="acme.co.kr", token=TOKEN, since=SINCE, next_check_at=SINCE
    )
