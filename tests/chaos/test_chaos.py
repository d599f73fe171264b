"""A short run of `make chaos`: some subscriptions, and every kind of fault once."""

from pathlib import Path

from support.postgres_data import copy_data
from support.sizes import IS_LARGE, SIZES

from .main import Chaos, run

_SEED = 617884
"""Always the same subscriptions, so that results are comparable; `make chaos` draws others."""


async def test_chaos_run_has_no_differences(postgres_data: Path, tmp_path: Path) -> None:
    """Nothing is lost, executed twice or left behind while workers and servers are killed."""
    copy_data(postgres_data, tmp_path)
    chaos = Chaos(seed=_SEED, subscriptions=SIZES.chaos_subscriptions, long=IS_LARGE)
    report = await run(chaos, print, tmp_path)
    assert not report.differences, report.in_words()
    assert report.lines > 0
    assert report.erased > 0
    assert report.subscriptions_by_api > 0
    assert report.webhooks_delivered > 0
