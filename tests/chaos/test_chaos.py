"""A short run of `make chaos`: some lives, and every kind of mischief once."""

import random

from .run import Chaos, run


async def test_nothing_is_lost_done_twice_or_left_behind_while_everything_is_killed() -> None:
    seed = random.SystemRandom().randrange(10**6)
    report = await run(Chaos(seed=seed, lives=12, long=False), print)
    assert not report.differences, report.in_words()
    assert report.lines > 0
    assert report.erased > 0
