"""A short run of `make chaos`: some subscriptions, and every kind of fault once."""

from support.sizes import IS_LARGE, SIZES

from .main import Chaos, run

_SEED = 617884
"""Always the same subscriptions, so that results are comparable; `make chaos` draws others."""


async def test_chaos_run_has_no_differences() -> None:
    """Nothing is lost, executed twice or left behind while workers and servers are killed."""
    report = await run(Chaos(seed=_SEED, subscriptions=SIZES.chaos_subscriptions, long=IS_LARGE), print)
    assert not report.differences, report.in_words()
    assert report.lines > 0
    assert report.erased > 0
    assert report.subscriptions_by_api > 0
    assert report.webhooks_delivered > 0
