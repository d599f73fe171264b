"""`worksub catalogue`: the preview of a version, its publication exactly as previewed, and the refusals."""

import csv
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli_runner import Cli
from support.request_files import fresh
from support.scenario_builder import ScenarioBuilder, on, read

from adapters.postgres.pool import create_pool
from adapters.postgres.subscription_repository import insert_subscription, update_subscription
from adapters.settings import read_catalogue
from dev_stack.postgres_server import READER_LOGIN, WORKER, as_login
from subscription.business_calendar import KST, add_months
from subscription.catalogue import PriceBook
from subscription.request import Request

from .conftest import Service

TODAY = datetime.now(KST).date()
EFFECTIVE_FROM = TODAY + timedelta(days=60)


@dataclass(frozen=True)
class Shop:
    """A database with a published catalogue, and `worksub` with the owner's and with the reader's login."""

    owner: Cli
    reader: Cli
    url: str

    async def record(self, subscription_id: str, book: PriceBook, plan: str) -> None:
        """Record a monthly contract of ten members from today, without a workflow."""
        at = f"{TODAY} 09:00"
        request = read(at, book, request_id=subscription_id, plan=plan, members=10)
        assert isinstance(request, Request)
        trial = ScenarioBuilder(request, on(at), book)
        paid = trial.copy().send("switch_to_paid", term="MONTHLY")
        states = [
            built.state.model_copy(update={"subscription_id": subscription_id}) for built in (trial, paid)
        ]
        async with (
            create_pool(as_login(self.url, WORKER), "worksub_worker", connections=1) as pool,
            pool.acquire() as connection,
        ):
            await insert_subscription(connection, states[0], request)
            await update_subscription(connection, states[1])

    def write(self, name: str, text: str) -> str:
        (self.owner.directory / name).write_text(text, encoding="utf-8")
        return name


@pytest.fixture
async def shop(service: Service, cli: Cli) -> Shop:
    url = await service.stack.postgres.ensure_database(fresh("shop").replace("-", "_"))
    owner = cli.with_settings(DATABASE_URL=url)
    await owner.json("setup")
    return Shop(owner, cli.with_settings(DATABASE_URL=as_login(url, READER_LOGIN)), url)


def newer_text(catalogue_file: Path, **replaced: str) -> str:
    """Return a version that raises the prices of lite in 60 days and no longer sells basic."""
    text = catalogue_file.read_text(encoding="utf-8")
    start, end = text.index("[plans.basic]"), text.index("[plans.premium]")
    text = text[:start] + text[end:]
    changes = {
        'version = "2026-11"': 'version = "newer"',
        "effective_from = 2020-01-01": f"effective_from = {EFFECTIVE_FROM}\nannounced_on = {TODAY}",
        "list = 3600": "list = 4000",
        **replaced,
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


async def test_version_is_published_exactly_as_previewed(shop: Shop, catalogue_file: Path) -> None:
    book = PriceBook(versions=(read_catalogue(catalogue_file),))
    for subscription_id, plan in (("rising", "lite"), ("withdrawn", "basic"), ("untouched", "premium")):
        await shop.record(subscription_id, book, plan)
    file = shop.write("newer.toml", newer_text(catalogue_file))

    previewed = await shop.reader.run("catalogue", "preview", file, "--json")
    rise, withdrawn, summary = [json.loads(line) for line in previewed.out.splitlines()]
    # 10 members × 3,600 become 10 × 4,000 with the first month that begins when the version is in force.
    changes_on = next(d for d in (add_months(TODAY, n) for n in range(1, 5)) if d >= EFFECTIVE_FROM)
    assert rise["subscription_id"] == "rising"
    assert rise["change"] == {
        "date": f"{changes_on}",
        "monthly_before": 36_000,
        "monthly_after": 40_000,
    }
    assert [notice["due_on"] for notice in rise["notices"]] == [
        f"{changes_on - timedelta(days=days)}" for days in (30, 7)
    ]
    assert (withdrawn["subscription_id"], withdrawn["withdrawn_plans"]) == ("withdrawn", ["basic"])
    assert withdrawn["change"] is None
    assert (summary["subscriptions"], summary["paying_more"], summary["on_withdrawn_plans"]) == (3, 1, 1)
    assert summary["after"] - summary["before"] == rise["after"] - rise["before"] > 0
    shown = await shop.reader.run("catalogue", "preview", file, "--csv", "effects.csv")
    publish = f"worksub catalogue publish newer.toml --preview {summary['preview']}"
    assert publish in shown.out
    rows = list(csv.DictReader((shop.owner.directory / "effects.csv").open(encoding="utf-8")))
    assert [(row["subscription_id"], row["monthly_after"]) for row in rows] == [
        ("rising", "40000"),
        ("withdrawn", ""),
    ]

    shop.write("dearer.toml", newer_text(catalogue_file, **{"list = 12000": "list = 13000"}))
    for other, preview in (("dearer.toml", summary["preview"]), (file, "0" * 16)):
        refused = await shop.owner.run("catalogue", "publish", other, "--preview", preview, "--json")
        assert (refused.code, refused.error["code"]) == (1, "PREVIEW_OUTDATED")
    arguments = ("catalogue", "publish", file, "--preview", summary["preview"])
    assert await shop.owner.json(*arguments) == {"version": "newer", "published": True}
    assert await shop.owner.json(*arguments) == {"version": "newer", "published": False}
    again = await shop.reader.run("catalogue", "preview", file, "--json")
    assert json.loads(again.out.splitlines()[-1]) == {**summary, "is_published": True}


async def test_preview_refuses_what_cannot_be_published(shop: Shop, catalogue_file: Path) -> None:
    file = shop.write("newer.toml", newer_text(catalogue_file, **{"rank = 3": "rank = 4"}))
    refused = await shop.reader.run("catalogue", "preview", file, "--json")
    assert (refused.code, refused.error["code"]) == (1, "CATALOGUE_NOT_PUBLISHABLE")
    assert [problem["field"] for problem in refused.error["problems"]] == ["plans.premium.rank"]
    late = f"{EFFECTIVE_FROM + timedelta(days=1)}"
    file = shop.write("newer.toml", newer_text(catalogue_file))
    refused = await shop.reader.run("catalogue", "preview", file, "--as-of", late, "--json")
    assert [problem["reason"] for problem in refused.error["problems"]] == ["IN_THE_PAST"]
    file = shop.write("newer.toml", newer_text(catalogue_file, **{"list = 4000": "list = -1"}))
    for command in (("check", file), ("preview", file), ("publish", file, "--preview", "0" * 16)):
        invalid = await shop.reader.run("catalogue", *command)
        assert invalid.code == 2
        assert "newer.toml, line" in invalid.err


async def test_catalogue_on_sale_is_shown(shop: Shop) -> None:
    shown = await shop.reader.run("catalogue", "show", "--lang", "ko")
    for words in ("3,600", "화상 회의와 화면 공유", "서비스 이용약관"):
        assert words in shown.out
    document: dict[str, Any] = await shop.reader.json("catalogue", "show")
    assert document["terms"][0]["title"]["en"] == "Terms of Service"
