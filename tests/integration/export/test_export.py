"""An archive has everything that is kept of a subscription, of one moment, and no secret (R37)."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import date, datetime
from typing import Any

import pytest
from support.service_env import ServiceEnv, unique_name
from support.subscription_driver import SubscriptionDriver

from adapters.postgres.pool import create_pool
from starter.caller import Caller
from starter.exports import SubscriptionExports
from subscription.business_calendar import KST
from subscription.issuer import Channel, Issuer
from subscription.refusals import RefusalCode, RefusalError

CUSTOMER = "C-of-an-export"
COMPANY = "=카나리아무역"
CALLER = "+82 kim of sales"
OPERATORS_NAME = "park of support"

# Each file and a table that it has, with the columns that have other names in the file.
TABLES: list[tuple[str, str, dict[str, str]]] = [
    ("subscription", "subscriptions", {}),
    ("account", "administrators", {}),
    ("reserved_names", "account_names", {}),
    ("company", "companies", {}),
    ("agreed_terms", "terms_agreements", {}),
    ("timeline", "lifecycle_events", {}),
    ("timeline", "event_private_data", {}),
    ("ledger", "ledger_lines", {"first_day": "from", "end_day": "to"}),
    ("adjustments", "ledger_adjustments", {}),
    ("notices", "notices", {}),
    ("notices", "notice_emails", {}),
    ("product/workspace", "workspaces", {}),
    ("product/members", "members", {}),
]
# Columns that the archive has in another form, or that are secret, technical, or the same in every row.
OTHER_COLUMNS = {
    *("request_fingerprint", "erased_request_hash", "password_hash", "snapshot", "detail"),
    *("private", "channel", "issued_by", "next_attempt_at", "subscription_id"),
    *("line_kind", "line_first_day"),  # parts of `line_key`
    "added_members",  # the number of rows of `members`
    "html",  # has the text of the email's body
}
# Tables with rows of a subscription that have no file of their own.
OTHER_TABLES = {
    "members_in_use": "a view that counts the members",
    "ledger": "a view of the ledger lines with their documents",
    "domain_tokens": "secret; the domains are in `account_names`",
    "console_sessions": "keys of sessions",
    "command_answers": "repeats the timeline, by idempotency key",
    "customer_events": "numbers of the events for the API",
    "webhook_deliveries": "delivery state of the events, which belong to an endpoint of the customer",
    "attention": "for operators",
    "reconciliation_findings": "for operators",
    "bulk_items": "lists of operators; the commands are in the timeline",
    "exports": "the exports themselves",
    "erasure_certificates": "none before the erasure",
    "subscription_locks": "always empty",
}


@pytest.fixture(scope="module")
async def exports(service_env: ServiceEnv) -> AsyncIterator[SubscriptionExports]:
    async with create_pool(service_env.api_url, "worksub_exporter", connections=2) as pool:
        yield SubscriptionExports(pool)


async def taken(exports: SubscriptionExports, subscription_id: str, customer: str | None = None) -> bytes:
    return b"".join([piece async for piece in exports.archive(subscription_id, customer)])


async def with_everything(service_env: ServiceEnv) -> SubscriptionDriver:
    """Return a subscription that has rows in every file, with another one on the same invoice."""
    subscription = await service_env.paid(
        "2026-03-01 09:00", term="MONTHLY", plan="lite", customer_id=CUSTOMER, company_name=COMPANY
    )
    other = await service_env.paid("2026-03-01 09:00", term="MONTHLY", plan="premium", customer_id=CUSTOMER)
    await subscription.send("rename_account", at="2026-03-05 09:00", group=unique_name("renamed"))
    await subscription.send("change_renewal_option", at="2026-03-10 09:00", term="MONTHLY", by=OPERATORS_NAME)
    subscription.client = service_env.client.for_caller(
        Caller(CUSTOMER), issuer=Issuer(channel=Channel.CONSOLE, by=CALLER)
    )
    await subscription.send("upgrade", at="2026-03-15 09:00", plan="basic")
    domain = f"{unique_name('held')}.example.kr"
    await subscription.send("rename_account", at="2026-03-30 09:00", domain=domain)
    for each in (subscription, other):
        await each.advance_to("2026-04-01 09:00")
    await run_job(service_env, "InvoicesWorkflow", month="2026-03")
    await run_job(service_env, "NoticesWorkflow", day="2026-04-02")
    key = (await subscription.ledger())[0].key
    adjustment = {"subscription_id": subscription.id, "key": key, "amount": -500, "id": "adj-1"}
    await service_env.client.adjust({**adjustment, "reason": "GOODWILL", "reference": "T-1"})
    await service_env.owner.execute(
        "INSERT INTO members (subscription_id, member_id, name) "
        "VALUES ($1, 'kim', '김하나'), ($1, 'lee', NULL)",
        subscription.id,
    )
    return subscription


async def run_job(service_env: ServiceEnv, workflow: str, **argument: str) -> None:
    await service_env.temporal.execute_workflow(
        workflow, argument, id=unique_name("job"), task_queue=service_env.task_queue
    )


async def test_r37_archive_equals_the_record(service_env: ServiceEnv, exports: SubscriptionExports) -> None:
    subscription = await with_everything(service_env)
    archive = zipfile.ZipFile(io.BytesIO(await taken(exports, subscription.id, CUSTOMER)))
    assert archive.testzip() is None
    check_manifest(archive, subscription.id)
    for file, table, renamed in TABLES:
        await check_table(service_env, archive, subscription.id, file, table, renamed)
    check_derived_files(archive, subscription)
    await check_no_secret(service_env, archive, subscription.id)


def check_manifest(archive: zipfile.ZipFile, subscription_id: str) -> None:
    *names, last = archive.namelist()
    assert last == "manifest.json"
    manifest = json.loads(archive.read(last))
    assert (manifest["format"], manifest["format_version"]) == ("worksub-export", 1)
    assert manifest["subscription_id"] == subscription_id
    assert [file["name"] for file in manifest["files"]] == names
    for file in manifest["files"]:
        content = archive.read(file["name"])
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    for json_file, csv_file in zip(manifest["files"][::2], manifest["files"][1::2], strict=True):
        rows = json.loads(archive.read(json_file["name"]))
        assert len(rows) == json_file["rows"] == csv_file["rows"] > 0, json_file
        text = archive.read(csv_file["name"]).decode("utf-8-sig")
        assert [*csv.DictReader(io.StringIO(text, newline=""))] == [
            {name: cell(value) for name, value in row.items()} for row in rows
        ]


def cell(value: Any) -> str:
    """Return a JSON value as the text of a CSV cell."""
    match value:
        case None:
            return ""
        case str():
            return f"'{value}" if value[:1] in [*"=+-@"] else value
        case dict() | list() | bool():
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


async def check_table(
    service_env: ServiceEnv,
    archive: zipfile.ZipFile,
    subscription_id: str,
    file: str,
    table: str,
    renamed: dict[str, str],
) -> None:
    """Compare a file with all rows and all columns of a table."""
    records = await service_env.owner.fetch(
        f"SELECT * FROM {table} WHERE subscription_id = $1 ORDER BY {table}::text", subscription_id
    )
    token = await service_env.owner.fetchval(
        "SELECT token FROM domain_tokens WHERE subscription_id = $1", subscription_id
    )
    rows = json.loads(archive.read(f"{file}.json"))
    recorded = [
        {
            renamed.get(name, name): plain(value, token)
            for name, value in record.items()
            if name not in OTHER_COLUMNS
        }
        for record in records
    ]
    compared = recorded[0].keys()
    keys = {key: {row[key] for row in recorded} for key in ("number", "sequence") if key in compared}
    same = [row for row in rows if all(row[key] in values for key, values in keys.items())]
    assert ordered([{name: row[name] for name in compared} for row in same]) == ordered(recorded), file


def ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=json.dumps)


def plain(value: Any, token: str) -> Any:
    match value:
        case str():
            return value.replace(token, "[removed]")
        case datetime():
            return value.astimezone(KST).isoformat()
        case date():
            return value.isoformat()
    return value


def check_derived_files(archive: zipfile.ZipFile, subscription: SubscriptionDriver) -> None:
    """Compare the files that have no table of their own with what was done."""
    rows = {name: json.loads(archive.read(f"{name}.json")) for name in ("account_names", "contracts")}
    first = subscription.request["account"]["group"]
    assert [(row["event"], row["name"].rpartition("-")[0]) for row in rows["account_names"]] == [
        ("TRIAL_STARTED", first.rpartition("-")[0]),
        ("ACCOUNT_RENAMED", "renamed"),
        ("RENAME_HELD", "held"),
    ]
    assert rows["account_names"][0]["name"] == first
    assert [
        (row["event"], row["from"], row["to"], row["plan"], row["members"], row["list_price"])
        for row in rows["contracts"]
    ] == [
        ("SWITCHED_TO_PAID", "2026-03-01", "2026-04-01", "lite", 10, 3_600),
        ("UPGRADED", "2026-03-01", "2026-04-01", "basic", 10, 7_200),
        ("CONTRACT_RENEWED", "2026-04-01", "2026-05-01", "basic", 10, 7_200),
    ]
    # 14/31 of 36,000 and 17/31 of 72,000; the other subscription's 120,000 are not in the archive.
    [invoice] = json.loads(archive.read("invoices.json"))
    assert [entry["amount"] for entry in invoice["entries"]] == [16_258, 39_483]
    assert invoice["supply_amount"] == 55_741
    timeline = json.loads(archive.read("timeline.json"))
    assert [(row["event"], row["channel"], row["issued_by"]) for row in timeline[3:7]] == [
        ("RENEWAL_OPTION_CHANGED", "OPERATOR", None),
        ("UPGRADED", "CONSOLE", CALLER),
        ("RENAME_HELD", "CONSOLE", CALLER),
        ("SERVICE_FEES_POSTED", "SYSTEM", None),
    ]
    assert timeline[4]["detail"]["rate"]["plan"] == "basic"


async def check_no_secret(service_env: ServiceEnv, archive: zipfile.ZipFile, subscription_id: str) -> None:
    secrets = await service_env.owner.fetchrow(
        """
        SELECT token, password_hash, request_fingerprint,
               encode(keyed_hash(request_fingerprint), 'hex') AS keyed
          FROM subscriptions
               JOIN administrators USING (subscription_id) JOIN domain_tokens USING (subscription_id)
         WHERE subscription_id = $1
        """,
        subscription_id,
    )
    assert secrets is not None
    content = b"".join(archive.read(name) for name in archive.namelist())
    for secret in secrets.values():
        assert secret.encode() not in content
        assert secret.rpartition("$")[2].encode() not in content
    # The email to prove the domain is there, without its token.
    assert b"naver-works-verification=[removed]" in archive.read("notices.json")
    assert OPERATORS_NAME.encode() not in content
    for kept in (COMPANY, CALLER):
        assert kept.encode() in content


async def test_r37_every_table_is_exported_or_left_out(service_env: ServiceEnv) -> None:
    rows = await service_env.owner.fetch(
        """
        SELECT table_name FROM information_schema.columns
         WHERE table_schema = 'public' AND column_name = 'subscription_id'
        """
    )
    exported = {table for _, table, _ in TABLES}
    assert {row["table_name"] for row in rows} == exported | OTHER_TABLES.keys()
    assert not exported & OTHER_TABLES.keys()


async def test_r37_archive_is_of_one_moment(service_env: ServiceEnv, exports: SubscriptionExports) -> None:
    """Commands that are accepted while an archive is taken are not in it."""
    subscription = await service_env.paid("2026-03-01 09:00")
    async with aclosing(exports.archive(subscription.id)) as pieces:
        content = await anext(pieces)
        await subscription.send("upgrade", at="2026-03-15 09:00", members=20)
        content += b"".join([piece async for piece in pieces])
    archive = zipfile.ZipFile(io.BytesIO(content))
    [row] = json.loads(archive.read("subscription.json"))
    [workspace] = json.loads(archive.read("product/workspace.json"))
    timeline = json.loads(archive.read("timeline.json"))
    assert (row["members"], workspace["members"], row["sequence"]) == (10, 10, timeline[-1]["sequence"])
    assert timeline[-1]["event"] == "SWITCHED_TO_PAID"


async def last_export_at(service_env: ServiceEnv, subscription: SubscriptionDriver) -> datetime | None:
    return (await service_env.client.recorded_state(subscription.id)).last_export_at


async def test_r37_only_a_complete_export_is_recorded(
    service_env: ServiceEnv, exports: SubscriptionExports
) -> None:
    subscription = await service_env.paid("2026-03-01 09:00")
    async with aclosing(exports.archive(subscription.id)) as pieces:
        await anext(pieces)
    assert await last_export_at(service_env, subscription) is None
    await taken(exports, subscription.id)
    assert await last_export_at(service_env, subscription) == await service_env.owner.fetchval(
        "SELECT taken_at FROM exports WHERE subscription_id = $1", subscription.id
    )


async def test_r37_erased_or_foreign_data_is_not_exported(
    service_env: ServiceEnv, exports: SubscriptionExports
) -> None:
    """An archive that was begun before the erasure is completed, and leaves nothing behind."""
    subscription = await service_env.paid("2026-03-01 09:00")
    for subscription_id, customer in ((subscription.id, "C-another"), ("no-such", None), ("nul\0", None)):
        with pytest.raises(RefusalError) as refused:
            await taken(exports, subscription_id, customer)
        assert refused.value.refused.code is RefusalCode.SUBSCRIPTION_NOT_FOUND
    await taken(exports, subscription.id)
    async with aclosing(exports.archive(subscription.id)) as pieces:
        content = await anext(pieces)
        await subscription.cancel_and_wait("2026-03-15 09:00")
        content += b"".join([piece async for piece in pieces])
    assert len(json.loads(zipfile.ZipFile(io.BytesIO(content)).read("company.json"))) == 1
    with pytest.raises(RefusalError) as refused:
        await taken(exports, subscription.id)
    assert refused.value.refused.code is RefusalCode.DATA_ERASED
    [certificate, _] = await service_env.client.certificates(subscription.id)
    assert certificate.rows["exports"] == 1
    assert await last_export_at(service_env, subscription) is None
