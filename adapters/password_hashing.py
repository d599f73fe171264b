"""Argon2id hashing in a bounded thread pool, which protects memory and the event loop."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from subscription.password_hash_policy import PLACEHOLDER, password_hash_problem

THREADS = 2
WAITING = 16
PATIENCE_SECONDS = 5.0
CUSTOMER_PLACES = 2

T = TypeVar("T")
_log = logging.getLogger("worksub")


class HashingBusyError(Exception):
    """Too many passwords are waiting to be hashed or verified; try again in a moment."""


class PasswordHashing:
    """At most `threads` hashes at once and `waiting` callers more, each of which waits `patience` at most.

    No accepted hash takes longer than a fraction of a second, so neither does the end of the process.
    """

    def __init__(
        self, *, threads: int = THREADS, waiting: int = WAITING, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._free = asyncio.Semaphore(threads)
        self._places = threads + waiting
        self._patience = patience
        self._hashing: Counter[str] = Counter()

    async def hash(self, password: str, customer_id: str) -> str:
        """Return an Argon2id hash with a new salt. Raises `HashingBusyError`.

        A customer has `CUSTOMER_PLACES` at once, because no limit of failures stops one who sends many.
        """
        if self._hashing[customer_id] >= CUSTOMER_PLACES:
            raise HashingBusyError
        self._hashing[customer_id] += 1
        try:
            return await self._run(PasswordHasher().hash, password)
        finally:
            self._hashing[customer_id] -= 1
            self._hashing += Counter()  # drops the customers who have none

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether the password matches; None does the work of a hash and matches nothing.

        A stored hash whose cost is not acceptable is logged and not computed. Raises `HashingBusyError`.
        """
        problem = password_hash_problem(password_hash) if password_hash is not None else None
        if problem is not None:
            _log.error("A stored password hash was refused.", extra={"fields": {"reason": problem}})
        if password_hash is None or problem is not None:
            await self._run(_matches, PLACEHOLDER, password)
            return False
        return await self._run(_matches, password_hash, password)

    async def _run(self, work: Callable[..., T], *arguments: str) -> T:
        if self._places == 0:
            raise HashingBusyError
        self._places -= 1
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except BaseException as error:
            self._places += 1
            if isinstance(error, TimeoutError):
                raise HashingBusyError from None
            raise
        loop = asyncio.get_running_loop()
        running = self._pool.submit(work, *arguments)
        # Released by the thread and not by the caller, who may leave while the thread still computes.
        running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        return await asyncio.wrap_future(running)

    def _done(self) -> None:
        self._places += 1
        self._free.release()


def _matches(password_hash: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(password_hash, password)
    except (Argon2Error, InvalidHashError):
        return False


def hashed(password: str) -> str:
    """Its Argon2id hash, salted anew each time: all that others ever see."""
    return PasswordHasher().hash(password)
