"""The bounded Argon2 thread pool: it refuses excess calls and releases its slots."""

import asyncio

import pytest
from argon2 import PasswordHasher
from support.service_env import PASSWORD, PASSWORD_HASH

from adapters.password_hashing import HashingBusyError, PasswordHashing
from subscription.password_hash_policy import password_hash_problem


async def test_hash_is_acceptable_and_verifies() -> None:
    hashing = PasswordHashing()
    hashed = await hashing.hash(PASSWORD, "C-1")
    assert password_hash_problem(hashed) is None
    assert await hashing.verify(hashed, PASSWORD)
    assert not await hashing.verify(hashed, "Wrong4Horse")
    assert not await hashing.verify(None, PASSWORD)


async def test_excess_hashing_is_refused_and_slots_are_released() -> None:
    hashing = PasswordHashing(threads=1, waiting=2, timeout=60)
    for _ in range(2):
        answers = await asyncio.gather(
            *(hashing.verify(PASSWORD_HASH, PASSWORD) for _ in range(10)), return_exceptions=True
        )
        assert answers.count(True) == 3
        assert sum(isinstance(answer, HashingBusyError) for answer in answers) == 7


async def test_one_customer_cannot_use_every_slot() -> None:
    hashing = PasswordHashing(threads=1, waiting=5, timeout=60)
    greedy = [asyncio.create_task(hashing.hash(PASSWORD, "C-1")) for _ in range(10)]
    await asyncio.sleep(0)
    assert await hashing.hash(PASSWORD, "C-2")
    assert await hashing.verify(PASSWORD_HASH, PASSWORD)
    answers = await asyncio.gather(*greedy, return_exceptions=True)
    assert sum(isinstance(answer, HashingBusyError) for answer in answers) == 8
    assert await hashing.hash(PASSWORD, "C-1")


async def test_waiting_for_a_slot_times_out() -> None:
    hashing = PasswordHashing(threads=1, waiting=5, timeout=0)
    first = asyncio.create_task(hashing.verify(PASSWORD_HASH, PASSWORD))
    await asyncio.sleep(0)
    with pytest.raises(HashingBusyError):
        await hashing.verify(PASSWORD_HASH, PASSWORD)
    assert await first


async def test_cancelled_waiting_caller_frees_its_place() -> None:
    hashing = PasswordHashing(threads=1, waiting=1, timeout=60)
    first, leaving = (asyncio.create_task(hashing.verify(PASSWORD_HASH, PASSWORD)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert all(await asyncio.gather(first, hashing.verify(PASSWORD_HASH, PASSWORD)))


async def test_unknown_account_costs_a_hash_as_well() -> None:
    hashing = PasswordHashing(threads=1, waiting=0, timeout=60)
    known = asyncio.create_task(hashing.verify(PASSWORD_HASH, PASSWORD))
    await asyncio.sleep(0)
    with pytest.raises(HashingBusyError):
        await hashing.verify(None, PASSWORD)
    assert await known


async def test_r7_stored_hash_below_the_policy_matches_no_password() -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    assert not await PasswordHashing().verify(weak, PASSWORD)


async def test_cancelled_caller_releases_slot_when_thread_ends() -> None:
    hashing = PasswordHashing(threads=1, waiting=0, timeout=60)
    leaving = asyncio.create_task(hashing.verify(PASSWORD_HASH, PASSWORD))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving

    async def slot_is_released() -> bool:
        while True:
            try:
                return await hashing.verify(PASSWORD_HASH, PASSWORD)
            except HashingBusyError:
                await asyncio.sleep(0)

    assert await slot_is_released()
