"""Token-bucket rate limiter."""

import time
from collections.abc import Callable

_RETENTION = 10_000


class TokenBucket:
    """So many at once, refilled at so many a second, for each name."""

    def __init__(self, at_once: int, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once, self._per_second, self._clock = at_once, per_second, clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, name: str) -> bool:
        """Take one and return True, or return False because none is left."""
        left = self._now_left(name)
        if left < 1:
            return False
        if name not in self._left and len(self._left) >= _RETENTION:
            self._left.pop(next(iter(self._left)))  # the one who has been known for longest
        self._left[name] = (left - 1, self._clock())
        return True

    def give_back(self, name: str) -> None:
        """Undo one `take`."""
        self._left[name] = (min(self._at_once, self._now_left(name) + 1), self._clock())

    def _now_left(self, name: str) -> float:
        left, at = self._left.get(name, (float(self._at_once), self._clock()))
        return min(self._at_once, left + (self._clock() - at) * self._per_second)
