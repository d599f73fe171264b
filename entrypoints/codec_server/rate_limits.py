"""Token-bucket rate limiter."""

import time
from collections.abc import Callable

_RETENTION = 10_000


class TokenBucket:
    """A token bucket for each name: a burst of `at_once`, refilled at `per_second`."""

    def __init__(self, at_once: int, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once, self._per_second, self._clock = at_once, per_second, clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, name: str) -> bool:
        """Take one token and return True, or return False if the bucket is empty."""
        left = self._tokens_left(name)
        if left < 1:
            return False
        if name not in self._left and len(self._left) >= _RETENTION:
            self._left.pop(next(iter(self._left)))  # the oldest entry, to bound memory
        self._left[name] = (left - 1, self._clock())
        return True

    def give_back(self, name: str) -> None:
        """Undo one `take`."""
        self._left[name] = (min(self._at_once, self._tokens_left(name) + 1), self._clock())

    def _tokens_left(self, name: str) -> float:
        left, at = self._left.get(name, (float(self._at_once), self._clock()))
        return min(self._at_once, left + (self._clock() - at) * self._per_second)
