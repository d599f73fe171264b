"""Activities are idempotent: each may be repeated at any time, also late, without further effect."""

import asyncio
import dataclasses
import json
from datetime import timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest
from pydantic import ValidationError
from support.data_search import found_in_database
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, kst, open_service_env, unique_name
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.catalogue import CatalogueActivities
from activities.domain_verification import DomainVerificationActivities
from activities.erasure import PERSONAL_DATA, ErasureActivities, HistoryActivities
from activities.provisioning import ProvisioningActivities
from activities.transitions import RecordDivergedError, TransitionActivities
from adapters.email.notice_emails import NoticeEmails
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner, wanted_workspace
from dev_stack.stack import EmbeddedStack
from subscription.activity_contracts import (
    DeleteHistoriesInput,
    DomainCheckInput,
    DomainTokenInput,
    EraseInput,
    NameTaken,
    PriceBookInput,
    Provisioned,
    ProvisionInput,
    Recorded,
    RequestRefused,
    StoredAnswer,
    StoredAnswerInput,
    StoredAnswerResult,
    Transition,
)
from subscription.apply import apply, apply_all
from subscription.catalogue import PriceBook
from subscription.commands import Command, parse_command
from subscription.decide import Decision, ExternalFacts, decide
from subscription.due_events import next_due_event
from subscription.events import Erased, Event
from subscription.issuer import Channel, Issuer
from subscription.price_needs import price_needs
from subscription.refusals import Refusal, RefusalCode
from subscription.state import Subscription
from subscription.timeline import Answer

START = kst("2027-01-10 09:00")


class DirectActivities(NamedTuple):
    """The activities of an environment without a worker, called as a worker would call them."""

    provisioning: ProvisioningActivities
    recording: TransitionActivities
    erasure: ErasureActivities
    workspaces: PostgresWorkspaceProvisioner
    service_env: ServiceEnv

    async def provisioned(self, **changes: Any) -> tuple[Subscription, ProvisionInput, PriceBook]:
        body = self.service_env.request_body(simulated_at=START.isoformat(), **changes)
        input_ = ProvisionInput(subscription_id=unique_name("subscription"), request=body, accepted_at=START)
        result = await self.provisioning.provision_subscription(input_)
        assert isinstance(result, Provisioned)
        return result.state, input_, result.book

    async def send(
        self, state: Subscription, book: PriceBook, name: str, **argument: Any
    ) -> tuple[Subscription, Transition]:
        """Record the events of a command; return the new state and the transition."""
        command = parse_command(name, argument)
        assert isinstance(command, Command)
        decision = decide(state, command, START, book, ExternalFacts(token="token"))
        assert isinstance(decision, Decision), decision
        after = apply_all(state, decision.events)
        stored = None
        if command.id:
            answer = Answer(
                command=name,
                message=decision.message,
                state=after.state,
                access=after.access,
                events=(),
                ledger=(),
            )
            stored = StoredAnswer(command_id=command.id, fingerprint=command.fingerprint(), answer=answer)
        transition = transition_of(state, after, decision.events, book, stored)
        assert await self.recording.record_transition(transition) == Recorded()
        return after, transition

    async def erase(self, state: Subscription) -> EraseInput:
        event = Erased(at=START)
        after = apply(state, event)
        return EraseInput(
            subscription_id=state.subscription_id, sequence=after.sequence, event=event, state=after
        )


def transition_of(
    state: Subscription,
    after: Subscription,
    events: tuple[Event, ...],
    book: PriceBook,
    stored: StoredAnswer | None = None,
) -> Transition:
    return Transition(
        subscription_id=state.subscription_id,
        first_sequence=state.sequence + 1,
        events=events,
        state=after,
        revision=book.revision,
        answer=stored,
        issuers=(Issuer(channel=Channel.CLI, by="somebody"),),
    )


@pytest.fixture(scope="module")
async def activities(stack: EmbeddedStack, temporal: Client) -> Any:
    async with open_service_env(stack, temporal, works=False) as service_env:
        workspaces = PostgresWorkspaceProvisioner(service_env.pool)
        yield DirectActivities(
            ProvisioningActivities(service_env.pool, workspaces, NoticeEmails(), allow_simulation=True),
            TransitionActivities(service_env.pool, workspaces, NoticeEmails()),
            ErasureActivities(service_env.pool, workspaces),
            workspaces,
            service_env,
        )


async def everything(service_env: ServiceEnv) -> dict[str, list[str]]:
    """Return every row of every table, without the database's timestamps."""
    tables = await service_env.owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {
        table: [
            row[0]
            for row in await service_env.owner.fetch(
                f"SELECT (to_jsonb(t) - 'recorded_at')::text FROM {table} t ORDER BY 1"
            )
        ]
        for [table] in tables
    }


async def test_repeated_provisioning_returns_same_result(activities: DirectActivities) -> None:
    input_ = ProvisionInput(
        subscription_id=unique_name("subscription"),
        request=activities.service_env.request_body(),
        accepted_at=START,
    )
    first = await activities.provisioning.provision_subscription(input_)
    before = await everything(activities.service_env)
    later = input_.model_copy(update={"accepted_at": START + timedelta(minutes=1)})
    for again in (input_, later):
        assert await activities.provisioning.provision_subscription(again) == first
    assert await everything(activities.service_env) == before


async def test_concurrent_provisioning_runs_once(activities: DirectActivities) -> None:
    """An attempt that has timed out may still run when the next one starts."""
    for _ in range(15):
        body = activities.service_env.request_body(account={"domain": f"{unique_name('at-once')}.example"})
        input_ = ProvisionInput(subscription_id=unique_name("subscription"), request=body, accepted_at=START)
        attempts = [activities.provisioning.provision_subscription(input_) for _ in range(6)]
        results = await asyncio.gather(*attempts, return_exceptions=True)
        # A failure is allowed, because it is retried; a refusal of an accepted command is not.
        responses = [result for result in results if not isinstance(result, asyncpg.UniqueViolationError)]
        assert isinstance(responses[0], Provisioned)
        assert responses == [responses[0]] * len(responses)
        assert await activities.provisioning.provision_subscription(input_) == responses[0]


async def test_r9_refused_provisioning_leaves_no_data(activities: DirectActivities) -> None:
    state, _, _ = await activities.provisioned()
    assert state.account is not None
    body = activities.service_env.request_body(account={"group": state.account.name})
    before = await everything(activities.service_env)
    for _ in range(2):
        input_ = ProvisionInput(subscription_id="the-loser", request=body, accepted_at=START)
        result = await activities.provisioning.provision_subscription(input_)
        assert isinstance(result, RequestRefused)
        assert result.refused.code is RefusalCode.NAME_TAKEN
    assert await everything(activities.service_env) == before


async def test_r12_domain_token_is_stable_and_unique(
    activities: DirectActivities,
) -> None:
    state, _, _ = await activities.provisioned()
    input_ = DomainTokenInput(subscription_id=state.subscription_id, domain="one.example")
    tokens = await gather_all(activities.provisioning.issue_domain_token(input_) for _ in range(5))
    assert tokens == [tokens[0]] * 5
    assert len(bytes.fromhex(tokens[0].token)) * 8 >= 128
    other_domain = input_.model_copy(update={"domain": "two.example"})
    other, _, _ = await activities.provisioned()
    other_owner = input_.model_copy(update={"subscription_id": other.subscription_id})
    for different in (other_domain, other_owner):
        assert (await activities.provisioning.issue_domain_token(different)).token != tokens[0].token


async def test_repeated_transition_changes_nothing(activities: DirectActivities) -> None:
    state, _, book = await activities.provisioned()
    steps: list[tuple[str, dict[str, Any]]] = [
        ("rename_account", {"domain": f"{unique_name('held')}.example", "id": "rename"}),
        ("rename_account", {"group": unique_name("new-name")}),
        ("switch_to_paid", {"date": "2027-01-10", "term": "ANNUAL", "id": "switch"}),
        ("upgrade", {"members": 20, "agreed_terms": activities.service_env.request_body()["agreed_terms"]}),
        ("cancel", {"date": "2027-05-01", "confirmation": None}),
    ]
    recorded = []
    for name, argument in steps:
        if name == "cancel":
            assert state.account is not None
            argument = {**argument, "confirmation": f"admin@{state.account.name}"}
        state, transition = await activities.send(state, book, name, **argument)
        recorded.append(transition)
        before = await everything(activities.service_env)
        assert await activities.recording.record_transition(transition) == Recorded()
        assert await everything(activities.service_env) == before
    # Late attempts of transitions that later ones have superseded.
    for transition in recorded:
        assert await activities.recording.record_transition(transition) == Recorded()
        assert await everything(activities.service_env) == before


async def test_concurrent_recording_runs_once(activities: DirectActivities) -> None:
    state, _, book = await activities.provisioned()
    state, _ = await activities.send(state, book, "switch_to_paid", date="2027-01-10", term="ANNUAL")
    event = next_due_event(state, kst("2027-02-01"), book)
    assert event is not None
    transition = transition_of(state, apply(state, event), (event,), book)
    results = await gather_all(activities.recording.record_transition(transition) for _ in range(6))
    assert results == [Recorded()] * 6
    lines = await activities.service_env.client.ledger(state.subscription_id)
    assert [line.key for line in lines] == [f"{state.subscription_id}/SERVICE_FEE/2027-01-10"]


async def test_out_of_order_transition_is_not_written(activities: DirectActivities) -> None:
    state, _, book = await activities.provisioned()
    command = parse_command("switch_to_paid", {"date": "2027-01-20", "term": "ANNUAL"})
    assert not isinstance(command, Refusal)
    decision = decide(state, command, START, book)
    assert isinstance(decision, Decision)
    ahead = state.model_copy(update={"sequence": state.sequence + 1})
    before = await everything(activities.service_env)
    for early in (ahead, state.model_copy(update={"subscription_id": "nobody"})):
        with pytest.raises(RecordDivergedError, match="does not follow the recorded event"):
            await activities.recording.record_transition(
                transition_of(early, apply_all(early, decision.events), decision.events, book)
            )
    assert await everything(activities.service_env) == before


async def test_other_event_with_recorded_number_is_not_written(activities: DirectActivities) -> None:
    state, _, book = await activities.provisioned()
    _, transition = await activities.send(state, book, "switch_to_paid", date="2027-01-20", term="ANNUAL")
    before = await everything(activities.service_env)
    event = next_due_event(state, kst("2027-03-01"), book)
    assert event is not None
    with pytest.raises(RecordDivergedError, match="recorded with different content"):
        await activities.recording.record_transition(
            transition_of(state, apply(state, event), (event,), book)
        )
    assert await activities.recording.record_transition(transition) == Recorded()
    assert await everything(activities.service_env) == before


async def test_r5_a_rename_to_a_taken_name_writes_nothing(activities: DirectActivities) -> None:
    (state, _, book), (holder, _, _) = await gather_all([activities.provisioned(), activities.provisioned()])
    assert holder.account is not None
    command = parse_command("rename_account", {"group": holder.account.name})
    assert not isinstance(command, Refusal)
    decision = decide(state, command, START, book)
    assert isinstance(decision, Decision)
    before = await everything(activities.service_env)
    transition = transition_of(state, apply_all(state, decision.events), decision.events, book)
    assert await activities.recording.record_transition(transition) == NameTaken()
    assert await everything(activities.service_env) == before


async def test_reading_activities_change_nothing(activities: DirectActivities) -> None:
    state, _, book = await activities.provisioned()
    argument = {"date": "2027-01-20", "term": "ANNUAL", "id": "read"}
    await activities.send(state, book, "switch_to_paid", **argument)
    command = parse_command("switch_to_paid", argument)
    assert isinstance(command, Command)
    before = await everything(activities.service_env)
    catalogues, domain_checks = (
        CatalogueActivities(activities.service_env.pool),
        DomainVerificationActivities(activities.service_env.pool, [activities.service_env.dns.address]),
    )
    for _ in range(2):
        input_ = StoredAnswerInput(
            subscription_id=state.subscription_id, command_id="read", fingerprint=command.fingerprint()
        )
        recalled = await activities.recording.get_stored_answer(input_)
        assert recalled.answer is not None
        assert recalled.answer.command == "switch_to_paid"
        other = input_.model_copy(update={"fingerprint": "another"})
        assert await activities.recording.get_stored_answer(other) == StoredAnswerResult(reused=True)
        unknown = input_.model_copy(update={"command_id": "unknown"})
        assert await activities.recording.get_stored_answer(unknown) == StoredAnswerResult()
        too_old = other.model_copy(update={"since": START + timedelta(seconds=1)})
        assert await activities.recording.get_stored_answer(too_old) == StoredAnswerResult()
        needs = price_needs(state)
        for revision, newer in ((0, book), (book.revision, None)):
            known = PriceBookInput(revision=revision, needs=needs)
            assert (await catalogues.get_price_book(known)).book == newer
        proof = DomainCheckInput(
            subscription_id=state.subscription_id,
            tokens={"acme.example": "t"},
            cname_target="verify.example",
        )
        assert (await domain_checks.check_domain_records(proof)).verified == ()
    assert await everything(activities.service_env) == before


async def test_r31_repeated_erasure_returns_same_certificate(activities: DirectActivities) -> None:
    """A repeated erasure changes nothing."""
    state, provision, book = await activities.provisioned(
        account={"domain": f"{unique_name('gone')}.example"}
    )
    state, rename = await activities.send(
        state, book, "rename_account", group=unique_name("gone"), id="rename"
    )
    state, cancel = await activities.send(
        state, book, "cancel", date="2027-01-10", confirmation=f"admin@{state.account and state.account.name}"
    )
    erase = await activities.erase(state)
    first = await activities.erasure.erase_subscription(erase)
    assert set(first.rows) == {*PERSONAL_DATA}
    expected = {"account_names": 1, "administrators": 1, "companies": 1, "workspaces": 1, "domain_tokens": 1}
    assert {table: first.rows[table] for table in expected} == expected
    before = await everything(activities.service_env)
    assert await gather_all(activities.erasure.erase_subscription(erase) for _ in range(3)) == [first] * 3

    # Late attempts of earlier transitions restore nothing.
    for transition in (rename, cancel):
        await activities.recording.record_transition(transition)
    await activities.provisioning.provision_subscription(provision)
    with pytest.raises(ValidationError):  # there is no token to return
        await activities.provisioning.issue_domain_token(
            DomainTokenInput(subscription_id=state.subscription_id, domain="late.example")
        )
    await activities.workspaces.put(wanted_workspace(state.model_copy(update={"sequence": 99})))
    assert await everything(activities.service_env) == before
    # Other subscriptions have the same company name.
    assert await found_in_database(activities.service_env, [provision.request["company_name"]]) != []
    assert await found_in_database(activities.service_env, [provision.request["account"]["domain"]]) == []


async def test_r31_interrupted_erasure_has_erased_nothing(activities: DirectActivities) -> None:
    state, _, book = await activities.provisioned()
    assert state.account is not None
    state, _ = await activities.send(
        state, book, "cancel", date="2027-01-10", confirmation=f"admin@{state.account.name}"
    )
    erase = await activities.erase(state)
    before = await everything(activities.service_env)
    async with activities.service_env.owner.acquire() as other, other.transaction():
        # Another transaction locks the last of the tables, so the erasure waits there.
        await other.execute("LOCK TABLE event_private_data")
        attempt = asyncio.create_task(activities.erasure.erase_subscription(erase))

        async def waits() -> bool:
            return bool(
                await activities.service_env.owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
            )

        await wait_for("the erasure waits", waits)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
    assert await everything(activities.service_env) == before
    certificate = await activities.erasure.erase_subscription(erase)
    assert certificate.rows["workspaces"] == certificate.rows["account_names"] == 1


async def test_workspace_has_the_newest_version(activities: DirectActivities) -> None:
    state, _, _ = await activities.provisioned()

    async def members() -> int:
        return int(
            await activities.service_env.owner.fetchval(
                "SELECT members FROM workspaces WHERE subscription_id = $1", state.subscription_id
            )
        )

    newer = state.model_copy(update={"sequence": 5, "members": 50})
    older = state.model_copy(update={"sequence": 4, "members": 40})
    for wish in (newer, older, newer):
        await activities.workspaces.put(wanted_workspace(wish))
        assert await members() == 50


async def test_r31_repeated_history_deletion_changes_nothing(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    first_run = (await subscription.handle.describe()).run_id
    await subscription.send("cancel", date=f"{await subscription.today()}")
    await subscription.has_closed()
    certificates = await service_env.client.certificates(subscription.id)
    assert [dict(certificate.rows) for certificate in certificates][1]["workflow_runs"] == 1

    description = await subscription.handle.describe()
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info, workflow_id=subscription.workflow_id, workflow_run_id=description.run_id
    )
    ended_at = certificates[0].erased_at
    unknown_run = "d6ad3c0e-0f5c-4f5e-9d55-0d1a0e6f4a11"
    input_ = DeleteHistoriesInput(run_ids=(first_run or "", unknown_run), erased_at=ended_at)
    histories = HistoryActivities(service_env.pool, service_env.temporal)
    for _ in range(2):
        assert (await environment.run(histories.delete_histories, input_)).runs == 2
        assert await service_env.client.certificates(subscription.id) == certificates
        assert (await subscription.handle.result())["state"] == "ERASED"


async def test_stored_responses_can_be_parsed_again(activities: DirectActivities) -> None:
    state, _, book = await activities.provisioned()
    _, transition = await activities.send(
        state, book, "switch_to_paid", date="2027-01-10", term="ANNUAL", id="kept"
    )
    stored = await activities.service_env.owner.fetchval(
        "SELECT answer::text FROM command_answers WHERE subscription_id = $1", state.subscription_id
    )
    assert transition.answer is not None
    assert json.loads(stored) == json.loads(transition.answer.answer.model_dump_json())
