"""Domain verification over real DNS: published records are found, missing ones are no error (R10-R13)."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from support.polling import gather_all
from support.service_env import ServiceEnv, open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio.client import Client

from activities.domain_verification import DomainVerificationActivities
from dev_stack.dns_server import DnsServer
from dev_stack.stack import EmbeddedStack
from starter.catalogue_queries import NameStatus
from subscription.account import Account, AccountKind
from subscription.activity_contracts import DomainCheckInput
from subscription.refusals import RefusalCode, RefusalError
from subscription.state import Access

START = "2027-01-10 09:00"
CNAME_TARGET = "verify.worksmobile.example"


@pytest.fixture
async def dns_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    """Open an environment in which the test changes the DNS server."""
    async with open_service_env(stack, temporal) as service_env:
        yield service_env


async def on_a_domain(
    service_env: ServiceEnv, at: str | None = START, domain: str = ""
) -> tuple[SubscriptionDriver, str]:
    """Return a subscription after a first check of its domain without success."""
    domain = domain or f"{unique_name('owned')}.example"
    subscription = await service_env.requested(at, account={"domain": domain})
    await subscription.client.settle(subscription.id)
    return subscription, domain


async def holder(service_env: ServiceEnv, name: str) -> str | None:
    found: str | None = await service_env.owner.fetchval(
        "SELECT subscription_id FROM account_names WHERE name = $1", name
    )
    return found


# -- verification records (R11, R12) -----------------------------------------------------------------


async def test_r12_txt_record_verifies_domain(service_env: ServiceEnv) -> None:
    subscription, domain = await on_a_domain(service_env)
    status = await subscription.status()
    assert status.access is Access.RESTRICTED
    [proof] = status.proofs
    assert (proof.txt_name, proof.cname_name) == (domain, f"{proof.txt_value.split('=')[1]}.{domain}")
    service_env.dns.publish_txt(domain, "something else")
    service_env.dns.publish_txt(proof.txt_name, proof.txt_value)
    answer = await subscription.send("check_domain", at="2027-01-10 09:01")
    assert [entry.event for entry in answer.events] == ["DOMAIN_CONFIRMED"]
    assert answer.access is Access.FULL
    assert (await subscription.status()).proofs == ()
    assert (
        await subscription.expect_refusal("check_domain", at="2027-01-10 09:02")
    ).code is RefusalCode.NO_PROOF_AWAITED


async def test_r12_cname_record_verifies_domain(service_env: ServiceEnv) -> None:
    subscription, _ = await on_a_domain(service_env)
    [proof] = (await subscription.status()).proofs
    assert proof.cname_target == CNAME_TARGET
    service_env.dns.publish_cname(proof.cname_name, proof.cname_target)
    answer = await subscription.send("check_domain", at="2027-01-10 09:01")
    assert answer.access is Access.FULL


async def test_r12_mx_record_verifies_domain(service_env: ServiceEnv) -> None:
    """The record stands beside the mail servers of the domain; those of another token prove nothing."""
    subscription, domain = await on_a_domain(service_env)
    [proof] = (await subscription.status()).proofs
    assert proof.mx_exchange == f"{proof.txt_value.split('=')[1]}.{CNAME_TARGET}"
    service_env.dns.publish_mx(domain, f"mail.{domain}")
    service_env.dns.publish_mx(domain, f"0123.{CNAME_TARGET}")
    answer = await subscription.send("check_domain", at="2027-01-10 09:01")
    assert (answer.events, answer.access) == ((), Access.RESTRICTED)
    service_env.dns.publish_mx(proof.mx_name, proof.mx_exchange.upper())
    answer = await subscription.send("check_domain", at="2027-01-10 09:02")
    assert answer.access is Access.FULL


async def test_r12_each_token_is_random_and_unique(service_env: ServiceEnv) -> None:
    subscriptions = await gather_all(on_a_domain(service_env) for _ in range(4))
    tokens = {
        (await subscription.status()).proofs[0].txt_value.split("=")[1] for subscription, _ in subscriptions
    }
    assert len(tokens) == 4
    assert all(len(bytes.fromhex(token)) * 8 >= 128 for token in tokens)


async def test_r13_wrong_dns_records_are_unverified_not_errors(dns_env: ServiceEnv) -> None:
    subscription, domain = await on_a_domain(dns_env)
    [proof] = (await subscription.status()).proofs
    token = proof.txt_value.split("=")[1]
    minute = iter(f"2027-01-10 09:{minute:02}" for minute in range(1, 60))

    async def not_yet() -> None:
        answer = await subscription.send("check_domain", at=next(minute))
        assert answer.events == ()
        assert answer.access is Access.RESTRICTED

    await not_yet()  # NXDOMAIN
    for wrong in (token, f"naver-works-verification={token}0", "naver-works-verification="):
        dns_env.dns.publish_txt(domain, wrong)
    dns_env.dns.publish_txt(f"www.{domain}", proof.txt_value)
    await not_yet()  # another token, or another name
    for elsewhere in ("verify.somebody.example", f"www.{CNAME_TARGET}"):
        dns_env.dns.clear()
        dns_env.dns.publish_cname(proof.cname_name, elsewhere)
        await not_yet()
    dns_env.dns.clear()
    dns_env.dns.publish_txt(domain, proof.txt_value)
    dns_env.dns.answer_with = "servfail"
    await not_yet()
    dns_env.dns.answer_with = "timeout"
    await gather_all([not_yet(), nothing_is_found_where_no_resolver_is(dns_env)])
    dns_env.dns.answer_with = "normal"
    assert (await subscription.send("check_domain", at=next(minute))).access is Access.FULL
    assert await subscription.failed_tasks() == []


async def nothing_is_found_where_no_resolver_is(service_env: ServiceEnv) -> None:
    wanted = DomainCheckInput(
        subscription_id="unknown", tokens={"acme.example": "token"}, cname_target=CNAME_TARGET
    )
    addresses = ("127.0.0.1:1", "::1", "192.0.2.1")
    checks = [DomainVerificationActivities(service_env.pool, [address]) for address in addresses]
    found = await gather_all(look.check_domain_records(wanted) for look in checks)
    assert [each.verified for each in found] == [(), (), ()]


async def test_r12_long_and_international_names_are_resolved(
    service_env: ServiceEnv,
) -> None:
    """Also a long TXT record, and one of several strings."""
    with DnsServer() as dns:
        checks = DomainVerificationActivities(service_env.pool, [dns.address])
        longest = ".".join(["a" * 63] * 3 + ["b" * 50, "example"])[:253]
        names = [longest, "xn--9n2bp8q.example", "exact.example"]
        for name in names:
            dns.publish_txt(name, "naver-works-verification=token")
        dns.publish_txt("exact.example", "v" * 255)
        names.append("strings.example")
        dns.publish_txt("strings.example", "naver-works-verification=", "token")
        wanted = DomainCheckInput(
            subscription_id="unknown", tokens=dict.fromkeys(names, "token"), cname_target=CNAME_TARGET
        )
        # The CNAME needs the token in front of the name, for which the longest name has no room.
        assert (await checks.check_domain_records(wanted)).verified == tuple(names)


# -- check schedule (R13) ----------------------------------------------------------------------------


async def test_r13_scheduled_checks_verify_domain_and_stop(service_env: ServiceEnv) -> None:
    """On the test clock and without a command: immediately, every 5 minutes, then hourly."""
    subscription, domain = await on_a_domain(service_env, None)
    started = (await subscription.status()).started_at
    assert started is not None
    [proof] = (await subscription.status()).proofs
    await subscription.advance_clock_to(started + timedelta(hours=2, minutes=30))
    assert await subscription.events() == ["TRIAL_STARTED"]
    checks = await checks_in_history(subscription)
    assert checks == 1 + 12 + 1  # immediately, 12 in the first hour, one after the second hour

    service_env.dns.publish_txt(domain, proof.txt_value)
    await subscription.advance_clock_to(started + timedelta(hours=3, minutes=1))
    [_, confirmed] = await subscription.client.timeline(subscription.id)
    assert confirmed.event == "DOMAIN_CONFIRMED"
    assert timedelta(hours=3) <= confirmed.at - started < timedelta(hours=3, minutes=1)
    assert (await subscription.status()).access is Access.FULL

    checks = await checks_in_history(subscription)
    await subscription.advance_clock_to(started + timedelta(days=10))
    assert await checks_in_history(subscription) == checks


async def checks_in_history(subscription: SubscriptionDriver) -> int:
    return sum(
        event.activity_task_scheduled_event_attributes.activity_type.name == "check_domain_records"
        for event in await subscription.whole_history()
    )


async def test_r13_missed_checks_are_not_repeated(service_env: ServiceEnv) -> None:
    subscription, _ = await on_a_domain(service_env)
    before = await checks_in_history(subscription)
    await subscription.advance_to("2027-01-15 09:00")
    assert await checks_in_history(subscription) == before + 1


# -- changing the name (R10) -------------------------------------------------------------------------


async def test_r10_domain_rename_waits_for_verification(
    service_env: ServiceEnv,
) -> None:
    """The old name is released when the new domain has been verified."""
    subscription = await service_env.requested(START)
    old, new = subscription.request["account"]["group"], f"{unique_name('new')}.example"
    answer = await subscription.send("rename_account", at=START, domain=new)
    assert [entry.event for entry in answer.events] == ["RENAME_HELD"]
    assert answer.access is Access.FULL
    assert (await subscription.status()).account == f"admin@{old}"
    assert await holder(service_env, old) == await holder(service_env, new) == subscription.id
    await subscription.client.settle(subscription.id)
    [proof] = (await subscription.status()).proofs
    service_env.dns.publish_txt(proof.txt_name, proof.txt_value)
    answer = await subscription.send("check_domain", at="2027-01-10 09:03")
    assert [entry.event for entry in answer.events] == ["ACCOUNT_RENAMED"]
    assert answer.access is Access.FULL
    assert (await subscription.status()).account == f"admin@{new}"
    assert (await holder(service_env, old), await holder(service_env, new)) == (None, subscription.id)
    description = await subscription.handle.describe()
    shown = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert shown["AccountName"] == new


async def test_r10_rename_back_withdraws_and_releases_name(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    old, new = subscription.request["account"], f"{unique_name('withdrawn')}.example"
    await subscription.send("rename_account", at=START, domain=new)
    answer = await subscription.send("rename_account", at=START, **old)
    assert [entry.event for entry in answer.events] == ["RENAME_WITHDRAWN"]
    assert await holder(service_env, new) is None
    assert (await subscription.status()).proofs == ()
    assert (
        await subscription.expect_refusal("rename_account", at=START, **old)
    ).code is RefusalCode.NAME_UNCHANGED
    # The name has not changed, so no lock applies.
    assert (await subscription.send("rename_account", at=START, group=unique_name("at-once"))).events


async def test_r10_new_rename_replaces_pending_one(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    first, second = f"{unique_name('first')}.example", f"{unique_name('second')}.example"
    await subscription.send("rename_account", at=START, domain=first)
    await subscription.send("rename_account", at=START, domain=second)
    assert (await holder(service_env, first), await holder(service_env, second)) == (None, subscription.id)
    group = unique_name("third")
    await subscription.send("rename_account", at=START, group=group)
    assert (await holder(service_env, second), await holder(service_env, group)) == (None, subscription.id)
    assert (await subscription.status()).proofs == ()


async def test_r10_group_rename_frees_name_and_locks_for_24_hours(
    service_env: ServiceEnv,
) -> None:
    """The old name is released immediately."""
    subscription = await service_env.requested(START)
    old, new = subscription.request["account"], unique_name("renamed")
    await subscription.send("rename_account", at=START, group=new)
    taken = await service_env.requested(START, account=old)
    assert await holder(service_env, old["group"]) == taken.id
    for at in (START, "2027-01-11 08:59"):
        for wanted in ({"group": unique_name("again")}, {"domain": f"{unique_name('again')}.example"}):
            refused = await subscription.expect_refusal("rename_account", at=at, **wanted)
            assert refused.code is RefusalCode.RENAMED_TOO_RECENTLY
    await subscription.send("rename_account", at="2027-01-11 09:00", group=unique_name("again"))
    assert await holder(service_env, new) is None


async def test_r10_concurrent_renames_to_one_name(service_env: ServiceEnv) -> None:
    subscriptions = await gather_all(service_env.requested(START) for _ in range(6))
    wanted = unique_name("wanted")

    async def gets_it(subscription: SubscriptionDriver) -> bool:
        try:
            await subscription.send("rename_account", at=START, group=wanted)
        except Exception:
            assert (
                await subscription.expect_refusal("rename_account", at=START, group=wanted)
            ).code is RefusalCode.NAME_TAKEN
            return False
        return True

    assert (await gather_all(gets_it(subscription) for subscription in subscriptions)).count(True) == 1
    tokens = await service_env.owner.fetchval("SELECT count(*) FROM account_names WHERE name = $1", wanted)
    assert tokens == 1


async def test_r11_rename_to_group_name_lifts_restriction(
    service_env: ServiceEnv,
) -> None:
    subscription, domain = await on_a_domain(service_env)
    assert (await subscription.status()).access is Access.RESTRICTED
    answer = await subscription.send("rename_account", at=START, group=unique_name("unrestricted"))
    assert answer.access is Access.FULL
    assert await holder(service_env, domain) is None
    access = await service_env.owner.fetchval(
        "SELECT access FROM workspaces WHERE subscription_id = $1", subscription.id
    )
    assert access == "FULL"


# -- several claims of a domain (R5, R12) ------------------------------------------------------------


async def claimants(service_env: ServiceEnv, count: int) -> tuple[list[SubscriptionDriver], str]:
    """Return subscriptions that claim the same domain, after their first check without success."""
    domain = f"{unique_name('claimed')}.example"
    claims = await gather_all(on_a_domain(service_env, domain=domain) for _ in range(count))
    return [subscription for subscription, _ in claims], domain


async def publish_proof(service_env: ServiceEnv, subscription: SubscriptionDriver) -> None:
    [proof] = (await subscription.status()).proofs
    service_env.dns.publish_txt(proof.txt_name, proof.txt_value)


async def test_r12_first_proof_wins_and_others_learn_of_the_loss(service_env: ServiceEnv) -> None:
    """The squatter asks first; the owner proves the domain. The claim of a rename is lost as well."""
    [squatter, owner], domain = await claimants(service_env, 2)
    renaming = await service_env.requested(START)
    await renaming.send("rename_account", at=START, domain=domain)
    name = Account(kind=AccountKind.DOMAIN, name=domain)
    assert (await service_env.client.check_name(name)).status is NameStatus.CLAIMED
    await publish_proof(service_env, owner)
    answer = await owner.send("check_domain", at="2027-01-10 09:02")
    assert (answer.access, [entry.event for entry in answer.events]) == (Access.FULL, ["DOMAIN_CONFIRMED"])

    # A verified domain is taken for requests and renames.
    assert (await service_env.client.check_name(name)).status is NameStatus.TAKEN
    with pytest.raises(RefusalError) as request_refused:
        await service_env.requested(START, account={"domain": domain})
    assert request_refused.value.refused.code is RefusalCode.NAME_TAKEN
    late = await service_env.requested(START)
    refused = await late.expect_refusal("rename_account", at=START, domain=domain)
    assert refused.code is RefusalCode.NAME_TAKEN

    answer = await squatter.send("check_domain", at="2027-01-10 09:03")
    assert (answer.access, [entry.event for entry in answer.events]) == (Access.NONE, ["DOMAIN_LOST"])
    status = await squatter.status()
    assert (status.domain_lost, status.proofs, status.access) == (True, (), Access.NONE)
    answer = await squatter.send("rename_account", at="2027-01-10 09:04", group=unique_name("instead"))
    assert answer.access is Access.FULL

    # The loss is recorded before the command that finds it. The next scheduled check is at 09:05.
    await renaming.send("switch_to_paid", at="2027-01-10 09:04", date="2027-01-10", term="ANNUAL")
    assert await renaming.events() == ["TRIAL_STARTED", "RENAME_HELD", "DOMAIN_LOST", "SWITCHED_TO_PAID"]
    assert ((await renaming.status()).access, (await renaming.status()).proofs) == (Access.FULL, ())

    # The name is free again once its holder is erased.
    await owner.send("cancel", at="2027-01-10 10:00", date="2027-01-10", confirmation=f"admin@{domain}")
    await owner.has_closed()
    assert (await service_env.client.check_name(name)).status is NameStatus.AVAILABLE
    assert (await service_env.requested(START, account={"domain": domain})).id


async def test_r12_concurrent_proofs_have_one_winner(service_env: ServiceEnv) -> None:
    rivals, domain = await claimants(service_env, 4)
    for rival in rivals:
        await publish_proof(service_env, rival)
    answers = await gather_all(rival.send("check_domain", at="2027-01-10 09:02") for rival in rivals)
    outcomes = sorted(entry.event for answer in answers for entry in answer.events)
    assert outcomes == ["DOMAIN_CONFIRMED", *["DOMAIN_LOST"] * 3]
    held = await service_env.owner.fetch(
        "SELECT status, count(*) FROM account_names WHERE name = $1 GROUP BY status ORDER BY status", domain
    )
    assert [tuple(row) for row in held] == [("HELD", 1), ("LOST", 3)]


async def test_r12_loss_outlives_the_winner(service_env: ServiceEnv) -> None:
    """The winner is erased before the other subscription checks its domain."""
    [loser, winner], domain = await claimants(service_env, 2)
    await publish_proof(service_env, winner)
    await winner.send("check_domain", at="2027-01-10 09:02")
    await winner.send("cancel", at="2027-01-10 09:03", date="2027-01-10", confirmation=f"admin@{domain}")
    await winner.has_closed()
    await publish_proof(service_env, loser)
    answer = await loser.send("check_domain", at="2027-01-10 09:04")
    assert [entry.event for entry in answer.events] == ["DOMAIN_LOST"]
