"""Argon2id password hashing in a bounded thread pool, which protects memory and the event loop."""

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
TIMEOUT_SECONDS = 5.0
CUSTOMER_PLACES = 2

T = TypeVar("T")
_log = logging.getLogger(__name__)


class HashingBusyError(Exception):
    """Too many passwords are waiting to be hashed or verified; try again in a moment."""


class PasswordHashing:
    """Compute at most `threads` hashes concurrently; at most `waiting` further callers queue.

    A queued caller waits at most `timeout` seconds. Each accepted hash takes less than a second, so running
    hashes do not delay the shutdown of the process noticeably.
    """

    def __init__(
        self, *, threads: int = THREADS, waiting: int = WAITING, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._free = asyncio.Semaphore(threads)
        self._places = threads + waiting
        self._timeout = timeout
        self._hashing: Counter[str] = Counter()

    async def hash(self, password: str, customer_id: str) -> str:
        """Return an Argon2id hash with a new salt. Raises `HashingBusyError`.

        One customer can run at most `CUSTOMER_PLACES` hashes concurrently. The rate limit on failed sign-ins
        does not apply here, so it does not stop a customer that sends many passwords.
        """
        if self._hashing[customer_id] >= CUSTOMER_PLACES:
            raise HashingBusyError
        self._hashing[customer_id] += 1
        try:
            return await self._run(PasswordHasher().hash, password)
        finally:
            self._hashing[customer_id] -= 1
            self._hashing += Counter()  # removes customers with a count of zero

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether the password matches. Raises `HashingBusyError`.

        A hash of None matches no password, but costs the same time as a real hash. A stored hash with
        unacceptable cost parameters is logged and never computed.
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
            async with asyncio.timeout(self._timeout):
                await self._free.acquire()
        except BaseException as error:
            self._places += 1
            if isinstance(error, TimeoutError):
                raise HashingBusyError from None
            raise
        loop = asyncio.get_running_loop()
        running = self._pool.submit(work, *arguments)
        # The thread releases the slot, because the caller may be canceled while the thread still computes.
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
    """Return the Argon2id hash of the password with a new salt. The password itself is never stored."""
    return PasswordHasher().hash(password)
