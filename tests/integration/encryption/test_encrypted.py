"""Subscriptions with encrypted payloads: key rotations, temporarily missing keys and damaged payloads."""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.cli_runner import Cli
from support.encryption_keys import new_key, new_keyring
from support.polling import wait_for
from support.service_env import ServiceEnv, open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from adapters.temporal.data_converter import encrypting
from adapters.temporal.encrypted_payload import UnknownKeyError
from adapters.temporal.encryption_keys import KEYS, Key, Keyring
from adapters.temporal.key_usage import keys_in_use
from adapters.temporal.payload_codec import AesGcmPayloadCodec
from dev_stack.stack import EmbeddedStack
from starter.client import SubscriptionClient
from starter.replay import replay
from subscription.refusals import RefusalCode

START = "2027-01-10 09:00"
OPTION = {"term": "ANNUAL", "at": "2027-01-11T09:00:00+09:00"}


async def client_with_keys(stack: EmbeddedStack, *keys: Key) -> Client:
    """Return a client with these keys: the first one encrypts, the others only decrypt."""
    converter = encrypting(Keyring(keys))
    return await Client.connect(stack.addresses.temporal_address, data_converter=converter)


@asynccontextmanager
async def open_env(stack: EmbeddedStack, *keys: Key, works: bool = True) -> AsyncIterator[ServiceEnv]:
    async with open_service_env(stack, await client_with_keys(stack, *keys), works=works) as service_env:
        yield service_env


async def with_keys(service_env: ServiceEnv, stack: EmbeddedStack, *keys: Key) -> ServiceEnv:
    """Return the same environment with a client that has other keys."""
    temporal = await client_with_keys(stack, *keys)
    client = SubscriptionClient(temporal, service_env.owner, task_queue=service_env.task_queue)
    return dataclasses.replace(service_env, temporal=temporal, client=client)


def seen_by(service_env: ServiceEnv, subscription: SubscriptionDriver) -> SubscriptionDriver:
    return SubscriptionDriver(service_env.client, service_env.temporal, subscription.id, subscription.request)


async def is_retried(subscription: SubscriptionDriver) -> None:
    async def failed_once() -> bool:
        described = (await subscription.handle.describe()).raw_description
        return described.pending_workflow_task.attempt > 1

    await wait_for("its task is retried", failed_once)


async def is_executed(subscription: SubscriptionDriver) -> None:
    async def changed() -> bool:
        return "RENEWAL_OPTION_CHANGED" in await subscription.events()

    await wait_for("the signal is executed", changed)
    assert "REFUSED" not in await subscription.events()


async def refusals_of(service_env: ServiceEnv, subscription: SubscriptionDriver) -> list[tuple[str, str]]:
    rows = await service_env.owner.fetch(
        """
        SELECT detail->>'command' AS command, detail->>'code' AS code FROM lifecycle_events
         WHERE subscription_id = $1 AND event = 'REFUSED' ORDER BY sequence
        """,
        subscription.id,
    )
    return [(row["command"], row["code"]) for row in rows]


async def waits(subscription: SubscriptionDriver, key: Key, caplog: pytest.LogCaptureFixture) -> None:
    """Check that its tasks are retried, and that the log has the reason."""
    await is_retried(subscription)
    message = f"A payload is encrypted with the key {key.id}, which this process does not have: add that key"
    assert any(record.getMessage().startswith(message) for record in caplog.records)


async def test_workflow_without_its_key_waits_until_key_is_present(
    stack: EmbeddedStack, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = new_key(), new_key()
    caplog.set_level(logging.ERROR)
    async with open_env(stack, old, works=False) as service_env:
        async with service_env.worker():
            subscription = await service_env.paid(START)
            await subscription.is_at_rest_in_run(2)
        # Workers with only the new key cannot decrypt the payloads that the workflow has written.
        caller = seen_by(await with_keys(service_env, stack, old, new), subscription)
        without = await with_keys(service_env, stack, new)
        async with without.worker():
            more = partial(caller.send, "upgrade", at="2027-01-11 09:00", members=20, id="more")
            calls = asyncio.create_task(more())
            await waits(subscription, old, caplog)
        everybodys = await with_keys(service_env, stack, new, old)
        async with everybodys.worker():
            # Temporal ends a call whose task has failed too often; the repeated call gets the same response.
            await asyncio.gather(calls, return_exceptions=True)
            assert "UPGRADED" in [entry.event for entry in (await more()).events]


def damaged(whole: Payload) -> dict[str, Payload]:
    """Return arguments that are visibly damaged, with or without the key."""
    return {
        "other version": Payload(metadata={**whole.metadata, "encryption-version": b"2"}, data=whole.data),
        "no key id": Payload(metadata={"encoding": b"binary/encrypted"}, data=b"x"),
        "no encoding": Payload(data=b"x"),
        "too short": Payload(metadata=whole.metadata, data=whole.data[:20]),
    }


def corrupted(whole: Payload) -> dict[str, Payload]:
    """Return arguments whose damage is detected only with the key."""
    return {
        "corrupted tag": Payload(metadata=whole.metadata, data=whole.data[:-1] + b"!"),
        "truncated": Payload(metadata=whole.metadata, data=whole.data[:30]),
    }


async def encrypted_payload(keyring: Keyring) -> Payload:
    [whole] = await AesGcmPayloadCodec(keyring).encode(
        [Payload(metadata={"encoding": b"json/plain"}, data=b"{}")]
    )
    return whole


async def response_to(handle: WorkflowHandle[Any, Any], name: str, arguments: list[Any]) -> str:
    """Return the code of a refused update, or that there is a response which this client cannot decrypt."""
    try:
        await handle.execute_update(name, args=arguments, result_type=RawValue)
    except WorkflowUpdateFailedError as failure:
        return str(failure.cause.type if isinstance(failure.cause, ApplicationError) else failure.cause)
    except UnknownKeyError:
        return "encrypted"
    return "accepted"


@pytest.mark.parametrize("encrypts", [True, False], ids=["with keys", "without keys"])
async def test_undecryptable_input_is_refused_and_blocks_nothing(
    stack: EmbeddedStack, encrypts: bool
) -> None:
    """Signals, updates and queries, alone and beside other arguments; no task fails."""
    ours, strange = new_keyring(), new_keyring()
    whole, foreign = await encrypted_payload(ours), await encrypted_payload(strange)
    sent = [(payload, RefusalCode.INVALID_ARGUMENT) for payload in damaged(foreign).values()]
    sent += [(payload, RefusalCode.KEY_UNKNOWN) for payload in (foreign, *corrupted(foreign).values())]
    sent += [
        (payload, RefusalCode.INVALID_ARGUMENT if encrypts else RefusalCode.KEY_UNKNOWN)
        for payload in corrupted(whole).values()
    ]
    cases: list[tuple[list[Any], RefusalCode]] = [([RawValue(payload)], code) for payload, code in sent]
    cases += [
        ([RawValue(payload), RawValue(payload), "more"], code)
        for code, payload in {code: payload for payload, code in sent}.items()
    ]
    async with open_env(stack, *(ours.keys if encrypts else ())) as service_env:
        subscription = await service_env.paid(START)
        handle = (await client_with_keys(stack)).get_workflow_handle(subscription.workflow_id)
        for arguments, code in cases:
            refused = "encrypted" if encrypts else code
            assert await response_to(handle, "cancel", arguments) == refused
            for name in ("settle", "request"):
                answer = await response_to(handle, name, arguments)
                assert answer == refused or code is not RefusalCode.KEY_UNKNOWN
            with pytest.raises((WorkflowQueryFailedError, UnknownKeyError)):
                await handle.query("quote_cancellation", args=arguments)
            await handle.signal("needs_attention", args=arguments)
            await handle.signal("change_renewal_option", args=arguments)
        await subscription.client.settle(subscription.id)
        assert await refusals_of(service_env, subscription) == [
            ("change_renewal_option", code) for _, code in cases
        ]
        await subscription.send("change_renewal_option", at="2027-01-12 09:00", term="ANNUAL")
        assert await subscription.failed_tasks() == []


async def test_undecodable_header_blocks_nothing(stack: EmbeddedStack) -> None:
    strange = new_keyring()
    async with open_env(stack, *new_keyring().keys) as service_env:
        subscription = await service_env.paid(START)
        request = SignalWorkflowExecutionRequest(
            namespace=service_env.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=subscription.workflow_id),
            signal_name="withdraw_reservation",
        )
        request.header.fields["_tracer-data"].CopyFrom(await encrypted_payload(strange))
        await service_env.temporal.workflow_service.signal_workflow_execution(request)
        await subscription.client.settle(subscription.id)
        assert await refusals_of(service_env, subscription) == [("withdraw_reservation", "NOTHING_RESERVED")]
        assert await subscription.failed_tasks() == []


async def test_key_against_unencrypted_service_is_reported(stack: EmbeddedStack, tmp_path: Path) -> None:
    """A command that has a key, against a service that has none, reports the difference."""
    key = new_key()
    async with open_env(stack) as service_env:
        subscription = await service_env.paid(START)
        settings = {
            "DATABASE_URL": service_env.database_url,
            "TEMPORAL_ADDRESS": stack.addresses.temporal_address,
            KEYS: str(key),
        }
        lacking = await Cli(settings, tmp_path).run("withdraw", subscription.id, "--json")
        assert (lacking.code, lacking.error["code"]) == (3, "KEY_UNKNOWN")
        assert key.id in lacking.error["message"]


async def test_keys_in_use_are_counted_until_no_run_has_them(stack: EmbeddedStack) -> None:
    old, new = new_key(), new_key()
    async with open_env(stack, old, works=False) as service_env:
        async with service_env.worker():
            subscription = await service_env.paid(START)
            await subscription.is_at_rest_in_run(2)
        rotated = await with_keys(service_env, stack, new, old)
        query = f"TaskQueue = '{service_env.task_queue}'"

        async def counted() -> dict[str | None, tuple[bool, bool, bool]]:
            found = await keys_in_use(rotated.temporal, Keyring((new, old)), query=query)
            return {each.key_id: (each.known, each.encrypts, each.payloads > 0) for each in found}

        assert await counted() == {
            new.id: (True, True, False),
            old.id: (True, False, True),
            None: (True, False, False),
        }
        async with rotated.worker():
            after = seen_by(rotated, subscription)
            await after.advance_to("2027-02-01 00:00")
            assert (await counted())[new.id] == (True, True, True)
            replayed = await replay(rotated.temporal, query)
            assert (replayed.replayed > 0, replayed.failed) == (True, ())
            await after.cancel_and_wait("2027-02-10 09:00")
            await after.has_only_its_last_run()
        assert (await counted())[old.id] == (True, False, False), "the old key can be retired"


async def test_command_without_key_names_the_missing_key(stack: EmbeddedStack, tmp_path: Path) -> None:
    ours, theirs = new_key(), new_key()
    async with open_env(stack, theirs, ours) as service_env:
        settings = {
            "DATABASE_URL": service_env.database_url,
            "TEMPORAL_ADDRESS": stack.addresses.temporal_address,
            KEYS: str(ours),
        }
        cli = Cli(settings, tmp_path)
        started = await service_env.temporal.start_workflow(
            "PurgeWorkflow", {"grace_minutes": 60}, id=unique_name("purge"), task_queue=service_env.task_queue
        )
        await started.result()
        found = await cli.json("codec", "keys", "--query", f"WorkflowId = '{started.id}'")
        known = {key["key_id"]: key["known"] for key in found["keys"] if key["payloads"]}
        assert known == {theirs.id: False}
        subscription = await service_env.paid(START)
        lacking = await cli.run("clock", "run-to", subscription.id, "2027-01-12", "--json")
        assert (lacking.code, lacking.error["code"]) == (3, "KEY_UNKNOWN")
        assert theirs.id in lacking.error["message"]
        unreadable = await cli.with_settings(**{KEYS: "no key"}).run("list", "--json")
        assert (unreadable.code, unreadable.error["code"]) == (2, "SETTINGS")
