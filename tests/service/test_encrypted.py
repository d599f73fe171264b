"""Lives whose payloads are encrypted: through rotations, without a key for a while, with what is damaged."""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from cli.running import Cli
from keys import new_key, new_keyring
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import RawValue

from starter.client import SubscriptionClient
from starter.embedded.stack import EmbeddedStack
from starter.keys_in_use import keys_in_use
from starter.replaying import replay
from workflows.converter import encrypting
from workflows.encryption import Encryption
from workflows.keyring import KEYS, Key, Keyring

from .house import House, fresh, open_house
from .lives import Life
from .waiting import eventually

START = "2027-01-10 09:00"
OPTION = {"term": "ANNUAL", "at": "2027-01-11T09:00:00+09:00"}


async def speaking(stack: EmbeddedStack, *keys: Key) -> Client:
    """A client with these keys, of which the first one encrypts; the others read."""
    converter = encrypting(Keyring(keys))
    return await Client.connect(stack.addresses.temporal_address, data_converter=converter)


@asynccontextmanager
async def a_house(stack: EmbeddedStack, *keys: Key, works: bool = True) -> AsyncIterator[House]:
    async with open_house(stack, await speaking(stack, *keys), works=works) as house:
        yield house


async def with_keys(house: House, stack: EmbeddedStack, *keys: Key) -> House:
    """The same house, to which other keys are spoken."""
    temporal = await speaking(stack, *keys)
    client = SubscriptionClient(temporal, house.owner, task_queue=house.task_queue)
    return dataclasses.replace(house, temporal=temporal, client=client)


def seen_by(house: House, life: Life) -> Life:
    return Life(house.client, house.temporal, life.id, life.request)


async def is_tried_again(life: Life) -> None:
    async def failed_once() -> bool:
        described = (await life.handle.describe()).raw_description
        return described.pending_workflow_task.attempt > 1

    await eventually("its task is tried again", failed_once)


async def is_carried_out(life: Life) -> None:
    async def changed() -> bool:
        return "RENEWAL_OPTION_CHANGED" in await life.events()

    await eventually("what was signalled is carried out", changed)
    assert "REFUSED" not in await life.events()


async def waits(life: Life, key: Key, caplog: pytest.LogCaptureFixture) -> None:
    """Its tasks are tried again and again, and the log says what for."""
    await is_tried_again(life)
    said = f"Something is encrypted with the key {key.id}, which this process does not have: add that key"
    assert any(record.getMessage().startswith(said) for record in caplog.records)


async def test_a_life_without_its_key_waits_and_goes_on_when_the_key_is_there(
    stack: EmbeddedStack, caplog: pytest.LogCaptureFixture
) -> None:
    old, new, strange = new_key(), new_key(), new_key()
    caplog.set_level(logging.ERROR)
    async with a_house(stack, old, works=False) as house:
        async with house.worker():
            life = await house.paid(START)
        # Workers with the new key alone: the life's past is closed to them, as is what a stranger says.
        caller = seen_by(await with_keys(house, stack, old, new), life)
        stranger = seen_by(await with_keys(house, stack, strange), life)
        without = await with_keys(house, stack, new)
        async with without.worker():
            more = partial(caller.asks, "upgrade", at="2027-01-11 09:00", members=20, id="more")
            asked = asyncio.create_task(more())
            await stranger.handle.signal("change_renewal_option", OPTION)
            await waits(life, old, caplog)
        everybodys = await with_keys(house, stack, new, old, strange)
        async with everybodys.worker():
            # Temporal gives up a call whose task has failed too often; the same again has the same answer.
            await asyncio.gather(asked, return_exceptions=True)
            assert "UPGRADED" in [entry.event for entry in (await more()).events]
            await is_carried_out(life)


async def test_a_worker_without_any_key_refuses_nothing_that_is_encrypted(stack: EmbeddedStack) -> None:
    key = new_key()
    async with a_house(stack, works=False) as house:
        keyed = await with_keys(house, stack, key)
        async with house.worker():
            life = await house.paid(START)
            await seen_by(keyed, life).handle.signal("change_renewal_option", OPTION)
            await is_tried_again(life)
        async with keyed.worker():
            await is_carried_out(life)


async def test_what_is_damaged_is_refused_aloud_and_stalls_nothing(stack: EmbeddedStack) -> None:
    keyring = new_keyring()
    async with a_house(stack, *keyring.keys) as house:
        life = await house.paid(START)
        [whole] = await Encryption(keyring).encode(
            [Payload(metadata={"encoding": b"json/plain"}, data=b"{}")]
        )
        plain = await speaking(stack)
        damaged = Payload(metadata=whole.metadata, data=whole.data[:-1] + b"!")
        handle = plain.get_workflow_handle(life.workflow_id)
        await handle.signal("change_renewal_option", RawValue(damaged))

        async def is_refused() -> bool:
            return "REFUSED" in await life.events()

        await eventually("it stands in the timeline", is_refused)
        await life.asks("change_renewal_option", at="2027-01-12 09:00", term="ANNUAL")
        assert await life.failed_tasks() == []


async def test_keys_are_counted_where_they_are_used_until_no_run_has_them(stack: EmbeddedStack) -> None:
    old, new = new_key(), new_key()
    async with a_house(stack, old, works=False) as house:
        async with house.worker():
            life = await house.paid(START)
        rotated = await with_keys(house, stack, new, old)
        query = f"TaskQueue = '{house.task_queue}'"

        async def counted() -> dict[str | None, tuple[bool, bool, bool]]:
            found = await keys_in_use(rotated.temporal, Keyring((new, old)), query=query)
            return {each.key_id: (each.known, each.encrypts, each.payloads > 0) for each in found}

        assert await counted() == {
            new.id: (True, True, False),
            old.id: (True, False, True),
            None: (True, False, False),
        }
        async with rotated.worker():
            after = seen_by(rotated, life)
            await after.passes_to("2027-02-01 00:00")
            assert (await counted())[new.id] == (True, True, True)
            replayed = await replay(rotated.temporal, query)
            assert (replayed.replayed > 0, replayed.failed) == (True, ())
            await after.is_cancelled("2027-02-10 09:00")
            await after.has_only_its_last_run()
        assert (await counted())[old.id] == (True, False, False), "the old key may go"


async def test_a_command_says_which_key_it_lacks(stack: EmbeddedStack, tmp_path: Path) -> None:
    ours, theirs = new_key(), new_key()
    async with a_house(stack, theirs, ours) as house:
        settings = {
            "DATABASE_URL": house.database_url,
            "TEMPORAL_ADDRESS": stack.addresses.temporal_address,
            KEYS: str(ours),
        }
        cli = Cli(settings, tmp_path)
        started = await house.temporal.start_workflow(
            "PurgeWorkflow", {"grace_minutes": 60}, id=fresh("purge"), task_queue=house.task_queue
        )
        await started.result()
        found = await cli.json("codec", "keys", "--query", f"WorkflowId = '{started.id}'")
        known = {each["key_id"]: each["known"] for each in found["keys"] if each["payloads"]}
        assert known == {theirs.id: False}
        life = await house.paid(START)
        lacking = await cli.run("clock", "run-to", life.id, "2027-01-12", "--json")
        assert (lacking.code, lacking.error["code"]) == (3, "KEY_UNKNOWN")
        assert theirs.id in lacking.error["message"]
        unreadable = await cli.with_settings(**{KEYS: "no key"}).run("list", "--json")
        assert (unreadable.code, unreadable.error["code"]) == (2, "SETTINGS")
