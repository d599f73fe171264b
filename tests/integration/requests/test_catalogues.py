"""Published prices never change, new ones reach every subscription in time, quotes equal charges (R19)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
from support.lock_waits import wait_for_blocked_sessions
from support.polling import gather_all
from support.service_env import ServiceEnv, catalogue, kst, open_service_env, plan_section, publish
from temporalio.client import Client

from activities.provisioning import ProvisioningActivities
from activities.transitions import TransitionActivities
from adapters.email.notice_emails import NoticeEmails
from adapters.postgres import catalogue_repository
from adapters.postgres.catalogue_repository import PublishingError, restore_versions
from adapters.postgres.price_book_repository import load_price_book, load_texts
from adapters.postgres.recorded_subscription import snapshot
from adapters.postgres.subscription_repository import lock_customer
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from dev_stack.stack import EmbeddedStack
from subscription.activity_contracts import (
    PriceBookOutdated,
    ProvisionInput,
    Recorded,
    RequestRefused,
    Transition,
)
from subscription.apply import apply
from subscription.business_calendar import day_of
from subscription.catalogue import PriceBook
from subscription.due_events import due_events, next_due_event
from subscription.events import Event
from subscription.refusals import Refusal, RefusalCode
from subscription.state import State, Subscription
from subscription.timeline import RequestAnswer

START = "2027-01-10 09:00"
SERVICE_TERMS = 'id = "service"\nversion = "2026-01"'
DEARER = {"list = 7200": "list = 9200", "annual = 6000": "annual = 8000"}


@pytest.fixture
async def catalogue_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    """Open an environment in which the test changes the catalogue."""
    async with open_service_env(stack, temporal) as service_env:
        yield service_env


async def test_concurrent_publications_publish_once(stack: EmbeddedStack, temporal: Client) -> None:
    async with open_service_env(stack, temporal, works=False) as service_env:
        newer = catalogue("newer", "2027-06-01", **DEARER)
        published = await gather_all(publish(service_env.pool, newer) for _ in range(5))
        assert sorted(published) == [False, False, False, False, True]
        assert not await publish(service_env.pool, catalogue())
        assert (await load_price_book(service_env.pool)).revision == 2


async def test_concurrently_published_version_is_no_error(stack: EmbeddedStack, temporal: Client) -> None:
    async with (
        open_service_env(stack, temporal, works=False) as service_env,
        service_env.owner.acquire() as connection,
    ):
        newer = catalogue("newer", "2027-06-01", **DEARER)
        # With another number, so that only version and date conflict.
        async with asyncio.TaskGroup() as group, connection.transaction():
            await connection.execute(
                "INSERT INTO catalogue_versions (number, version, effective_from, document)"
                " VALUES (3, $1, $2, $3)",
                newer.version,
                newer.effective_from,
                newer.without_texts().model_dump_json(),
            )
            publishing = group.create_task(publish(service_env.pool, newer))
            await wait_for_blocked_sessions(service_env.owner)
        assert not publishing.result()


async def test_a_published_catalogue_is_never_changed(stack: EmbeddedStack, temporal: Client) -> None:
    async with open_service_env(stack, temporal, works=False) as service_env:
        book = await load_price_book(service_env.pool)
        with pytest.raises(PublishingError, match=r"2020-01 is published with other contents.*new `version`"):
            await publish(service_env.pool, catalogue(**DEARER))
        for day in ("2019-12-31", "2020-01-01"):
            with pytest.raises(PublishingError, match=r"must come into force after 2020-01"):
                await publish(service_env.pool, catalogue("other", day, **DEARER))
        assert await load_price_book(service_env.pool) == book


async def test_version_is_not_in_force_before_publication_day(stack: EmbeddedStack, temporal: Client) -> None:
    """The day is that of the database's clock, so that it is the same for every publisher."""
    async with open_service_env(stack, temporal, works=False) as service_env:
        today = day_of(await service_env.pool.fetchval("SELECT clock_timestamp()"))
        for days_ago in (2, 30):
            day = f"{today - timedelta(days=days_ago)}"
            late = catalogue("late", day, announced_on=day, **DEARER)
            with pytest.raises(PublishingError, match=r"effective_from: Set the day of publication"):
                await catalogue_repository.publish(service_env.pool, late)
        # With the dates of today and tomorrow, because midnight may pass during the test.
        tomorrow = f"{today + timedelta(days=1)}"
        with pytest.raises(PublishingError, match=r"announced_on: Set the day of publication"):
            await catalogue_repository.publish(service_env.pool, catalogue("soon", tomorrow, **DEARER))
        assert await catalogue_repository.publish(
            service_env.pool, catalogue("soon", tomorrow, announced_on=tomorrow, **DEARER)
        )
        assert not await catalogue_repository.publish(service_env.pool, catalogue())


async def test_r25_no_version_gives_a_plan_the_rank_of_another(
    stack: EmbeddedStack, temporal: Client
) -> None:
    async with open_service_env(stack, temporal, works=False) as service_env:
        premium = plan_section("premium")
        plus = '[plans.plus]\ntitle = "Plus"\nrank = 3\nlist = 8000\nannual = 6500\n'
        assert await publish(service_env.pool, catalogue("no-premium", "2027-01-01", **{premium: ""}))
        with pytest.raises(
            PublishingError, match=r"plans.plus.rank: This is the rank of plans.premium since"
        ) as reused:
            await publish(service_env.pool, catalogue("reused", "2027-02-01", **{premium: plus}))
        assert reused.value.refused.code is RefusalCode.CATALOGUE_NOT_PUBLISHABLE
        own = plus.replace("rank = 3", "rank = 4")
        assert await publish(service_env.pool, catalogue("own", "2027-02-01", **{premium: own}))


async def test_r19_reserved_switch_uses_prices_of_its_day(
    catalogue_env: ServiceEnv,
) -> None:
    """Also if these prices were published after the reservation."""
    subscription = await catalogue_env.requested(START)
    await subscription.send("switch_to_paid", at=START, date="2027-02-01", term="ANNUAL")
    assert await publish(catalogue_env.pool, catalogue("newer", "2027-02-01", **DEARER))
    await subscription.advance_to("2027-03-01 00:00")
    assert await subscription.ledger_tuples() == [("SERVICE_FEE", "2027-02-01", "2027-03-01", 10 * 8000)]
    assert await subscription.event_times() == [
        ("TRIAL_STARTED", "2027-01-10 09:00"),
        ("SWITCH_RESERVED", "2027-01-10 09:00"),
        ("SWITCHED_TO_PAID", "2027-02-01 00:00"),
        ("SERVICE_FEES_POSTED", "2027-03-01 00:00"),
    ]
    assert await subscription.failed_tasks() == []


async def test_r35_rise_without_notice_is_not_charged(catalogue_env: ServiceEnv) -> None:
    """A reserved switch and a renewal keep the prices that were announced in time."""
    reserved, renewed = await gather_all(
        [catalogue_env.requested(START), catalogue_env.paid(START, "MONTHLY")]
    )
    await reserved.send("switch_to_paid", at=START, date="2027-02-01", term="ANNUAL")
    newer = catalogue("newer", "2027-01-20", announced_on="2027-01-12", **DEARER)
    assert await publish(catalogue_env.pool, newer)
    await gather_all([reserved.advance_to("2027-03-01 00:00"), renewed.advance_to("2027-04-01 00:00")])
    assert await reserved.ledger_tuples() == [("SERVICE_FEE", "2027-02-01", "2027-03-01", 10 * 6000)]
    # The period from 10 February was announced 29 days before; that from 10 March, 57 days before.
    assert await renewed.ledger_tuples() == [
        ("SERVICE_FEE", "2027-01-10", "2027-02-01", 72_000 * 22 // 31),
        ("SERVICE_FEE", "2027-02-01", "2027-03-01", 72_000),
        ("SERVICE_FEE", "2027-03-01", "2027-03-10", 72_000 * 9 // 31),
        ("SERVICE_FEE", "2027-03-10", "2027-04-01", 92_000 * 22 // 31),
    ]


async def test_r19_new_prices_apply_from_next_contract(catalogue_env: ServiceEnv) -> None:
    """A contract keeps its prices; the next contract has the new ones."""
    subscription = await catalogue_env.paid(START, "MONTHLY")
    assert await publish(catalogue_env.pool, catalogue("newer", "2027-01-20", **DEARER))
    await subscription.advance_to("2027-03-01 00:00")
    assert await subscription.ledger_tuples() == [
        ("SERVICE_FEE", "2027-01-10", "2027-02-01", 72_000 * 22 // 31),
        ("SERVICE_FEE", "2027-02-01", "2027-02-10", 72_000 * 9 // 28),
        ("SERVICE_FEE", "2027-02-10", "2027-03-01", 92_000 * 19 // 28),
    ]


async def test_r19_newly_published_plan_can_be_chosen(catalogue_env: ServiceEnv) -> None:
    subscription = await catalogue_env.paid(START)
    assert (
        await subscription.expect_refusal("upgrade", at=START, plan="gold")
    ).code is RefusalCode.PLAN_NOT_SOLD
    gold = '[plans.gold]\ntitle = "Gold"\nrank = 4\nlist = 20000\nannual = 18000\n\n[plans.premium]'
    newer = catalogue("newer", "2027-01-10", **{"[plans.premium]": gold})
    assert await publish(catalogue_env.pool, newer)
    answer = await subscription.send("upgrade", at=START, plan="gold")
    assert "at 18,000 KRW" in answer.message


async def test_r19_command_uses_prices_seen_by_caller(catalogue_env: ServiceEnv) -> None:
    """The workflow has only the first revision until a command makes it load the next one."""
    subscription = await catalogue_env.paid(START, "MONTHLY")
    seen = {"sequence": len(await subscription.events()), "date": "2027-01-20", "revision": 1}
    assert await publish(catalogue_env.pool, catalogue("newer", "2027-01-20", **DEARER))
    at = "2027-01-20 09:00"
    refused = await subscription.expect_refusal("upgrade", at=at, plan="premium", expects=seen)
    assert refused.code is RefusalCode.CHANGED_MEANWHILE
    await subscription.send("upgrade", at=at, plan="premium", expects={**seen, "revision": 2})


async def test_r19_discontinued_plan_can_be_kept_but_not_chosen(catalogue_env: ServiceEnv) -> None:
    keeps, other = await gather_all(
        [catalogue_env.paid(START, "MONTHLY"), catalogue_env.paid(START, "MONTHLY", plan="lite")]
    )
    basic = plan_section("basic")
    assert await publish(catalogue_env.pool, catalogue("newer", "2027-01-10", **{basic: ""}))
    assert (await other.expect_refusal("upgrade", at=START, plan="basic")).code is RefusalCode.PLAN_NOT_SOLD
    await keeps.send("upgrade", at=START, members=20)
    await keeps.advance_to("2027-02-10 00:00")
    assert (await keeps.events())[-1] == "CONTRACT_RENEWED"
    assert (await keeps.status()).plan == "basic"
    refused = await catalogue_env.request_outcome(
        catalogue_env.request_body(simulated_at="2027-02-10T09:00:00+09:00")
    )
    assert isinstance(refused, Refusal)
    assert [(problem.field, problem.code) for problem in refused.problems] == [
        ("plan", RefusalCode.PLAN_NOT_SOLD)
    ]


async def test_r2_concurrent_requests_share_the_customers_trials(catalogue_env: ServiceEnv) -> None:
    limited = catalogue("limited", "2020-06-01", **{"per_customer = 3": "per_customer = 2"})
    assert await publish(catalogue_env.pool, limited)
    customer = {"customer_id": "limited-customer"}
    activities = ProvisioningActivities(
        catalogue_env.pool,
        PostgresWorkspaceProvisioner(catalogue_env.pool),
        NoticeEmails(),
        allow_simulation=False,
    )
    provisionings = [
        ProvisionInput(
            subscription_id=f"limited-{number}",
            request=catalogue_env.request_body(**customer),
            accepted_at=kst(START),
        )
        for number in range(4)
    ]
    async with (
        asyncio.TaskGroup() as group,
        catalogue_env.pool.acquire() as connection,
        connection.transaction(),
    ):
        await lock_customer(connection, customer["customer_id"])
        racing = [group.create_task(activities.provision_subscription(each)) for each in provisionings]
        await wait_for_blocked_sessions(catalogue_env.owner, len(racing))
    results = [task.result() for task in racing]
    refused = [result.refused.code for result in results if isinstance(result, RequestRefused)]
    assert refused == [RefusalCode.TOO_MANY_TRIALS] * 2

    # The client refuses before it starts a workflow. Another customer has its own trials.
    refusal = await catalogue_env.request_outcome(catalogue_env.request_body(**customer))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.parameters) == (RefusalCode.TOO_MANY_TRIALS, {"most": 2})
    await catalogue_env.requested()


async def test_r2_a_paid_contract_makes_room_for_a_trial(catalogue_env: ServiceEnv) -> None:
    limited = catalogue("limited", "2020-06-01", **{"per_customer = 3": "per_customer = 1"})
    assert await publish(catalogue_env.pool, limited)
    first = await catalogue_env.requested(START, customer_id="one-trial")
    await first.advance_to("2027-02-15 09:00")
    assert (await first.status()).state is State.SUSPENDED
    body = catalogue_env.request_body(customer_id="one-trial")
    refusal = await catalogue_env.request_outcome(body)
    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.TOO_MANY_TRIALS
    await first.send("switch_to_paid", at="2027-02-15 10:00", date="2027-02-15", term="MONTHLY")
    assert isinstance(await catalogue_env.request_outcome(body), RequestAnswer)


async def test_r2_r3_workflows_carry_no_texts(catalogue_env: ServiceEnv) -> None:
    subscription = await catalogue_env.requested()
    book = await subscription.handle.query("price_book", result_type=PriceBook)
    texts = await load_texts(catalogue_env.pool, book.versions[0].version)
    assert texts == catalogue().texts
    assert book.versions == (catalogue().without_texts(),)


async def test_r3_other_texts_need_a_new_version(catalogue_env: ServiceEnv) -> None:
    changed = catalogue(**{"Terms of Service": "Conditions"})
    with pytest.raises(PublishingError, match="published with other contents"):
        await publish(catalogue_env.pool, changed)


async def test_r3_texts_of_a_restored_version_are_published_again(
    stack: EmbeddedStack, temporal: Client
) -> None:
    async with open_service_env(stack, temporal, works=False) as service_env:
        newer = catalogue("newer", "2027-06-01", **DEARER)
        book = (await load_price_book(service_env.pool)).with_versions([newer.without_texts()])
        assert await restore_versions(service_env.pool, book)
        assert await load_texts(service_env.pool, "newer") is None
        assert not await publish(service_env.pool, newer)
        assert await load_texts(service_env.pool, "newer") == newer.texts


async def test_r16_r19_reserved_switch_survives_catalogue_removal(
    catalogue_env: ServiceEnv,
) -> None:
    """A reserved switch takes effect even if the catalogue no longer has its plan."""
    subscription = await catalogue_env.requested(START, plan="lite")
    await subscription.send("switch_to_paid", at=START, date="2027-02-01", term="ANNUAL", plan="basic")
    basic = plan_section("basic")
    newer = catalogue(
        "newer",
        "2027-02-01",
        **{
            basic: "",
            SERVICE_TERMS: SERVICE_TERMS.replace("2026-01", "2027-02"),
            "max_members = 100000": "max_members = 5",
            "fee_percent = 10": "fee_percent = 20",
        },
    )
    assert await publish(catalogue_env.pool, newer)
    # As reserved in January: basic at its last prices, 10 members. The percentage is that of the first day.
    await subscription.cancel_and_wait("2027-03-01 09:00")
    assert await subscription.event_times() == [
        ("TRIAL_STARTED", "2027-01-10 09:00"),
        ("SWITCH_RESERVED", "2027-01-10 09:00"),
        ("SWITCHED_TO_PAID", "2027-02-01 00:00"),
        ("SERVICE_FEES_POSTED", "2027-03-01 00:00"),
        ("CANCELED", "2027-03-01 09:00"),
        ("ERASED", "2027-03-01 09:00"),
    ]
    assert await subscription.ledger_tuples() == [
        ("SERVICE_FEE", "2027-02-01", "2027-03-01", 60_000),
        ("DISCOUNT_REPAYMENT", "2027-02-01", "2027-03-01", 12_000),
        ("EARLY_TERMINATION_FEE", "2027-03-01", "2028-02-01", 11 * 60_000 * 20 // 100),
    ]


async def test_r3_new_terms_bind_new_requests_and_upgrades(catalogue_env: ServiceEnv) -> None:
    subscription = await catalogue_env.paid(START)
    newer_terms = SERVICE_TERMS.replace("2026-01", "2027-02")
    newer = catalogue("newer", "2027-02-01", **{SERVICE_TERMS: newer_terms})
    assert await publish(catalogue_env.pool, newer)
    at = "2027-02-01 09:00"
    assert (
        await subscription.expect_refusal("upgrade", at=at, members=20)
    ).code is RefusalCode.TERMS_NOT_AGREED
    agreed = [{"id": "service", "version": "2027-02"}, {"id": "privacy", "version": "2026-01"}]
    assert (await subscription.send("upgrade", at=at, members=20, agreed_terms=agreed)).state is State.ACTIVE
    stored = await catalogue_env.owner.fetch(
        "SELECT term_version FROM terms_agreements WHERE subscription_id = $1 AND term_id = 'service'"
        " ORDER BY sequence",
        subscription.id,
    )
    assert [row["term_version"] for row in stored] == ["2026-01", "2027-02"]


async def test_r9_original_response_after_catalogue_change(
    catalogue_env: ServiceEnv,
) -> None:
    subscription = await catalogue_env.requested()
    first = await catalogue_env.client.request(subscription.request)
    newer_terms = SERVICE_TERMS.replace("2026-01", "newer")
    newer = catalogue("newer", f"{await subscription.today()}", **{SERVICE_TERMS: newer_terms})
    assert await publish(catalogue_env.pool, newer)
    assert await catalogue_env.client.request(subscription.request) == first


async def test_r28_quote_equals_charge_after_price_publication(
    catalogue_env: ServiceEnv,
) -> None:
    subscription = await catalogue_env.paid(START, "MONTHLY")
    assert await publish(catalogue_env.pool, catalogue("newer", "2027-01-20", **DEARER))
    quote = await subscription.client.quote_cancellation(subscription.id, date(2027, 3, 1))
    upcoming = await subscription.client.upcoming(subscription.id)
    await subscription.send("cancel", at=START, date="2027-03-01")
    await subscription.advance_to("2027-03-01 00:00")
    charged = await subscription.ledger()
    assert [(line.key, line.amount) for line in quote.ledger] == [(line.key, line.amount) for line in charged]
    foreseen = [line for coming in upcoming for line in coming.ledger][: len(charged)]
    assert [(line.key, line.amount) for line in foreseen] == [(line.key, line.amount) for line in charged]


async def test_r19_decision_by_older_price_book_is_not_written(catalogue_env: ServiceEnv) -> None:
    subscription = await catalogue_env.paid(START, "MONTHLY")
    state = await snapshot(catalogue_env.pool, subscription.id)
    assert state is not None
    event = next_due_event(state, kst("2027-02-01"), await load_price_book(catalogue_env.pool))
    assert event is not None
    newer = catalogue("newer", "2027-01-20", **DEARER)
    assert await publish(catalogue_env.pool, newer)
    transition = transition_of(
        state, event, PriceBook(versions=(await load_price_book(catalogue_env.pool)).versions[:1])
    )
    recording = TransitionActivities(
        catalogue_env.pool, PostgresWorkspaceProvisioner(catalogue_env.pool), NoticeEmails()
    )
    before = await subscription.client.timeline(subscription.id)
    assert await recording.record_transition(transition) == PriceBookOutdated()
    assert await subscription.client.timeline(subscription.id) == before
    assert await subscription.ledger() == []
    up_to_date = transition.model_copy(update={"revision": 2})
    assert await recording.record_transition(up_to_date) == Recorded()
    assert len(await subscription.ledger()) == 1


async def test_r19_event_recorded_by_newer_book_needs_that_book(catalogue_env: ServiceEnv) -> None:
    """A worker may be killed after a task has written; the next task then has only the older prices."""
    subscription = await catalogue_env.paid(START, "MONTHLY")
    state = await snapshot(catalogue_env.pool, subscription.id)
    assert state is not None
    older = await load_price_book(catalogue_env.pool)
    for event in due_events(state, kst("2027-02-01"), older):
        state = await recorded(catalogue_env, state, event, older)
    newer = catalogue("newer", "2027-01-20", **DEARER)
    assert await publish(catalogue_env.pool, newer)
    book = await load_price_book(catalogue_env.pool)
    outdated, renewed = (next_due_event(state, kst("2027-02-15"), each) for each in (older, book))
    assert outdated
    assert renewed
    assert outdated != renewed
    await recorded(catalogue_env, state, renewed, book)
    before = await subscription.client.timeline(subscription.id)
    recording = TransitionActivities(
        catalogue_env.pool, PostgresWorkspaceProvisioner(catalogue_env.pool), NoticeEmails()
    )
    answer = await recording.record_transition(transition_of(state, outdated, older))
    assert answer == PriceBookOutdated()
    assert await recording.record_transition(transition_of(state, renewed, book)) == Recorded()
    assert await subscription.client.timeline(subscription.id) == before


def transition_of(state: Subscription, event: Event, book: PriceBook) -> Transition:
    return Transition(
        subscription_id=state.subscription_id,
        first_sequence=state.sequence + 1,
        events=(event,),
        state=apply(state, event),
        revision=book.revision,
    )


async def recorded(
    catalogue_env: ServiceEnv, state: Subscription, event: Event, book: PriceBook
) -> Subscription:
    """Record the event; return the state after it."""
    recording = TransitionActivities(
        catalogue_env.pool, PostgresWorkspaceProvisioner(catalogue_env.pool), NoticeEmails()
    )
    transition = transition_of(state, event, book)
    assert await recording.record_transition(transition) == Recorded()
    return transition.state
