"""The database itself enforces the guarantees: migrations run once, and tables are append-only."""

import re
from collections import Counter
from pathlib import Path

import asyncpg
import pytest
from support.database_pool import TEMPLATE, create_database
from support.markdown_pages import page, tables
from support.polling import gather_all
from support.service_env import ServiceEnv, catalogue
from temporalio.client import Client

from adapters.postgres import migrate as schema
from adapters.postgres.migrate import migrate, migrations
from adapters.postgres.pool import DatabaseError, create_pool
from dev_stack.stack import EmbeddedStack
from starter.setup import set_up

ROOT = Path(__file__).parents[3]
APPEND_ONLY = (
    "catalogue_texts",
    "catalogue_versions",
    "lifecycle_events",
    "ledger_lines",
    "command_answers",
    "erasure_certificates",
)
ALSO_APPEND_ONLY = ("invoices", "invoice_entries", "ledger_adjustments")
CHANGES = ("UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0} CASCADE")


@pytest.fixture(scope="module")
async def recorded(service_env: ServiceEnv) -> ServiceEnv:
    """Return an environment in which every append-only table has rows."""
    subscription = await service_env.paid("2027-01-15 09:00")
    await subscription.send("change_renewal_option", at="2027-01-15 10:00", term="ANNUAL", id="kept-answer")
    await subscription.cancel_and_wait("2027-03-15 09:00")
    for table in APPEND_ONLY:
        assert await service_env.owner.fetchval(f"SELECT count(*) FROM {table}") > 0, table
    return service_env


@pytest.mark.parametrize("change", CHANGES, ids=["update", "delete", "truncate"])
@pytest.mark.parametrize("table", [*APPEND_ONLY, *ALSO_APPEND_ONLY])
async def test_r22_tables_are_append_only_for_worker_and_owner(
    recorded: ServiceEnv, table: str, change: str
) -> None:
    statement = change.format(table, await first_column(recorded, table))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await recorded.pool.execute(statement)
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await recorded.owner.execute(statement)


async def test_only_the_clock_of_the_database_sets_the_time_of_a_record(service_env: ServiceEnv) -> None:
    insertable = await service_env.owner.fetch(
        """
        SELECT attrelid::regclass::text, attname, rolname
          FROM pg_attribute JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum), pg_roles
         WHERE attrelid::regclass::text = ANY ($1) AND pg_get_expr(adbin, adrelid) = 'clock_timestamp()'
           AND rolname = ANY ($2) AND has_column_privilege(rolname, attrelid, attname, 'INSERT')
        """,
        [*APPEND_ONLY, *ALSO_APPEND_ONLY],
        [*ROLES.values()],
    )
    assert [tuple(each) for each in insertable] == []


async def first_column(service_env: ServiceEnv, table: str) -> str:
    column: str = await service_env.owner.fetchval(
        "SELECT column_name FROM information_schema.columns WHERE table_name = $1 AND ordinal_position = 1",
        table,
    )
    return column


async def test_reader_role_is_read_only_without_personal_data(recorded: ServiceEnv) -> None:
    async with create_pool(recorded.database_url, "worksub_reader", connections=1) as reading:
        tables = await recorded.owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for [table] in tables:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reading.execute(f"DELETE FROM {table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reading.fetch("SELECT * FROM administrators")


async def test_the_worker_cannot_change_the_schema(recorded: ServiceEnv) -> None:
    for statement in ("DROP TABLE ledger_lines", "ALTER TABLE ledger_lines DISABLE TRIGGER append_only"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await recorded.pool.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await recorded.pool.execute("CREATE TABLE public.mine (id int)")


async def test_concurrent_migrations_apply_each_step_once(stack: EmbeddedStack) -> None:
    url = await create_database(stack, "migrated_at_once", "template1")
    applied = await gather_all(migrate(url) for _ in range(5))
    names = [migration.name for migration in migrations()]
    assert sorted(applied, key=len) == [[], [], [], [], names]
    assert await migrate(url) == []


async def test_changed_migration_is_refused(stack: EmbeddedStack) -> None:
    url = await create_database(stack, "migration_changed", TEMPLATE)
    connection = await asyncpg.connect(url)
    await connection.execute(
        "UPDATE schema_migrations SET checksum = 'of other contents' WHERE name = $1", migrations()[0].name
    )
    with pytest.raises(DatabaseError, match=rf"{migrations()[0].name} has changed since it was applied"):
        await migrate(url)
    await connection.close()


async def test_only_missing_migration_is_applied(
    stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await create_database(stack, "migration_missing", "template1")
    *earlier, last = migrations()
    with monkeypatch.context() as the_release_before:
        the_release_before.setattr(schema, "migrations", lambda: earlier)
        assert await migrate(url) == [migration.name for migration in earlier]
    assert await migrate(url) == [last.name]
    assert await migrate(url) == []


def test_no_object_is_defined_by_two_migrations() -> None:
    defined = re.findall(
        r"CREATE (?:OR REPLACE )?(FUNCTION|PROCEDURE|TABLE|VIEW|TRIGGER) (\w+)",
        "".join(migration.sql for migration in migrations()),
    )
    # The triggers of several tables have the same name, that of the rule that they enforce.
    several = {("TRIGGER", "append_only"), ("TRIGGER", "refuse_after_erasure")}
    assert {each for each, times in Counter(defined).items() if times > 1} <= several


async def test_repeated_setup_changes_nothing(stack: EmbeddedStack, temporal: Client) -> None:
    url = await create_database(stack, "set_up_again", "template1")
    first = await set_up(temporal, url, catalogue())
    assert first.migrations == tuple(migration.name for migration in migrations())
    assert first.published == catalogue().version
    again = await set_up(temporal, url, catalogue())
    assert (again.migrations, again.published, again.search_attributes) == ((), None, ())


RIGHTS = {"reads": "SELECT", "adds": "INSERT", "changes": "UPDATE", "deletes": "DELETE"}
ROLES = {
    "the worker": "worksub_worker",
    "users and services": "worksub_reader",
    "the API": "worksub_api",
    "operators": "worksub_admin",
    "the console": "worksub_console",
    "the export": "worksub_exporter",
    "the product": "worksub_product",
}


async def test_role_privileges_match_the_security_page(service_env: ServiceEnv) -> None:
    [privileges] = [table for table in tables(page("SECURITY.md")) if "the worker" in table.header]
    known = {
        row[0]: [
            frozenset(word for word in cell.replace(",", " ").split() if word in RIGHTS) for cell in row[1:]
        ]
        for row in privileges.rows
    }
    assert list(privileges.header[1:]) == [*ROLES]
    for [table] in await service_env.owner.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace = 'public'::regnamespace"
    ):
        granted = [
            frozenset([word for word, right in RIGHTS.items() if await may(service_env, role, table, right)])
            for role in ROLES.values()
        ]
        assert granted == known[table], table
        for role in ROLES.values():
            for right in ("TRUNCATE", "TRIGGER", "REFERENCES"):
                assert not await service_env.owner.fetchval(
                    "SELECT has_table_privilege($1, $2, $3)", role, table, right
                )


@pytest.mark.parametrize("role", ["worksub_api", "worksub_admin"])
async def test_webhook_manager_role_reads_no_personal_data_or_secret(
    service_env: ServiceEnv, role: str
) -> None:
    """The role that manages webhooks reads no name, no message and no secret."""
    readable = await service_env.owner.fetch(
        """
        SELECT table_name, column_name FROM information_schema.columns
         WHERE table_name IN ('subscriptions', 'lifecycle_events', 'webhook_secrets')
           AND has_column_privilege($1, format('%I.%I', table_schema, table_name), column_name, 'SELECT')
        """,
        role,
    )
    assert {tuple(each) for each in readable} == {
        ("subscriptions", "subscription_id"),
        ("subscriptions", "customer_id"),
        ("lifecycle_events", "subscription_id"),
        ("lifecycle_events", "sequence"),
        ("lifecycle_events", "event"),
        ("webhook_secrets", "endpoint_id"),
        ("webhook_secrets", "created_at"),
        ("webhook_secrets", "expires_at"),
    }


async def test_r37_exporter_role_reads_no_secret(service_env: ServiceEnv) -> None:
    """The role that reads archives reads no hash of a password or a request, no key and no session."""
    unreadable = {"administrators": "password_hash", "subscriptions": "request_fingerprint"}
    for table in ("api_keys", "webhook_secrets", "console_sessions", "hash_keys", "worker_keys"):
        unreadable[table] = "*"
    async with create_pool(service_env.api_url, "worksub_exporter", connections=1) as pool:
        for table, columns in unreadable.items():
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.fetch(f"SELECT {columns} FROM {table}")


async def may(service_env: ServiceEnv, role: str, table: str, right: str) -> bool:
    """Return whether the role has the privilege on the table or on a column of it."""
    kind = "has_table_privilege" if right == "DELETE" else "has_any_column_privilege"
    return bool(await service_env.owner.fetchval(f"SELECT {kind}($1, $2, $3)", role, table, right))


SOURCES = [
    path
    for package in ("adapters", "activities", "starter", "entrypoints")
    for path in (ROOT / package).rglob("*")
]
NAMED_CONFLICT = re.compile(
    r"INSERT INTO (?:public\.)?(?P<table>\w+)(?:(?!INSERT INTO).)*?ON CONFLICT \((?P<columns>[^)]*)\)",
    re.DOTALL,
)


async def test_on_conflict_targets_name_the_only_possible_conflict(
    service_env: ServiceEnv,
) -> None:
    """A conflict on a unique index that `ON CONFLICT (column)` does not name fails, but only in a race."""
    named = {
        (found["table"], tuple(found["columns"].split(", ")))
        for path in SOURCES
        if path.suffix in (".py", ".sql")
        for found in NAMED_CONFLICT.finditer(path.read_text(encoding="utf-8"))
    }
    assert ("sign_in_attempts", ("subject_hash",)) in named
    for table, columns in named:
        rows = await service_env.owner.fetch(
            """
            SELECT array_agg(attname::text ORDER BY attnum) AS columns, bool_or(attidentity = 'a') AS numbered
              FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
             WHERE indrelid = $1::text::regclass AND indisunique GROUP BY indexrelid
            """,
            table,
        )
        # A value that PostgreSQL itself generates never conflicts.
        possible = {tuple(row["columns"]) for row in rows if not row["numbered"]}
        assert possible == {tuple(columns)}, f"ON CONFLICT ({', '.join(columns)}) of {table}"


LINE = "ledger_lines (subscription_id, kind, first_day, end_day, sequence, amount, effective_at, customer_id)"
ADJUSTMENT = """ledger_adjustments (subscription_id, adjustment_id, customer_id, line_kind, line_first_day,
                amount, reason, reference, effective_at)"""
INVOICE = "invoices (number, customer_id, month, issued_on, supply, vat, total, document)"
NAME = "account_names (name, kind, subscription_id, status)"
NOTICE = "notices (subscription_id, customer_id, kind, event_date, threshold_days, addressee, completed_at)"
DELIVERY = "webhook_deliveries (endpoint_id, subscription_id, sequence, claim, completed_at)"
SESSION = "console_sessions (token_hash, realm, customer_id, subscription_id, name, key)"
RUN = "bulk_runs (run_id, preview, command, argument, revision, rate)"

# Foreign keys are checked after the other constraints, so that the rows need no subscription.
CHECKED = {
    "ledger_lines_check": f"{LINE} VALUES ('s', 'FEE', '2027-02-01', '2027-02-01', 1, 1, now(), 'c')",
    "ledger_lines_amount_check": f"{LINE} VALUES ('s', 'FEE', '2027-02-01', '2027-03-01', 1, 0, now(), 'c')",
    "ledger_adjustments_amount_check": f"""{ADJUSTMENT}
        VALUES ('s', 'a-1', 'c', 'FEE', '2027-02-01', 0, 'GOODWILL', 'T-1', now())""",
    "ledger_adjustments_adjustment_id_check": f"""{ADJUSTMENT}
        VALUES ('s', 'a 1', 'c', 'FEE', '2027-02-01', 1, 'GOODWILL', 'T-1', now())""",
    "ledger_adjustments_reference_check": f"""{ADJUSTMENT}
        VALUES ('s', 'a-1', 'c', 'FEE', '2027-02-01', 1, 'GOODWILL', 'T/1', now())""",
    "invoice_counters_last_check": "invoice_counters VALUES (1999, -1)",
    "invoices_check": f"{INVOICE} VALUES ('n', 'c', '2027-02-01', '2027-03-01', 100, 10, 109, '{{}}')",
    "invoices_month_check": f"{INVOICE} VALUES ('n', 'c', '2027-02-02', '2027-03-01', 100, 10, 110, '{{}}')",
    "account_names_kind_check": f"{NAME} VALUES ('n', 'OTHER', 's', 'HELD')",
    "account_names_status_check": f"{NAME} VALUES ('n', 'DOMAIN', 's', 'FREE')",
    "account_names_check": f"{NAME} VALUES ('n', 'GROUP', 's', 'CLAIMED')",
    "administrators_password_hash_check": "administrators VALUES ('s', 'admin', 'secret')",
    "notices_check": f"{NOTICE} VALUES ('s', 'c', 'k', '2027-02-01', 1, 'CONTACT', now())",
    "notices_addressee_check": f"{NOTICE} VALUES ('s', 'c', 'k', '2027-02-01', 1, 'OTHER', NULL)",
    "webhook_endpoints_status_check": "webhook_endpoints (endpoint_id, url, status) VALUES ('e', 'u', 'X')",
    "webhook_endpoints_events_check": "webhook_endpoints (endpoint_id, url, events) VALUES ('e', 'u', '{}')",
    "webhook_deliveries_check": f"{DELIVERY} VALUES ('e', 's', 1, NULL, now())",
    "webhook_deliveries_check1": f"{DELIVERY} VALUES ('e', 's', NULL, NULL, NULL)",
    "webhook_deliveries_check2": f"{DELIVERY} VALUES ('e', 's', 1, gen_random_uuid(), NULL)",
    "bulk_runs_rate_check": f"{RUN} VALUES ('r', 'p', 'cancel', '{{}}', 1, 101)",
    "api_keys_prefix_check": "api_keys (prefix, hash, label) VALUES ('A', sha256('k'), 'l')",
    "api_keys_hash_check": "api_keys (prefix, hash, label) VALUES ('abcdefghij', 'k', 'l')",
    "console_sessions_realm_check": f"{SESSION} VALUES ('t', 'OTHER', 'c', NULL, 'n', 'k')",
    "console_sessions_check": f"{SESSION} VALUES ('t', 'CONSOLE', 'c', 's', 'n', 'k')",
    "console_sessions_check1": f"{SESSION} VALUES ('t', 'WORKS_ADMIN', NULL, 's', 'n', 'k')",
    "erasure_certificates_part_check": "erasure_certificates VALUES ('s', 'MEMBERS', now(), '{}')",
}
UNIQUE = {
    "ledger_lines_pkey": f"""{LINE} VALUES ('s', 'FEE', '2027-02-01', '2027-03-01', 1, 1, now(), 'c'),
        ('s', 'FEE', '2027-02-01', '2027-02-15', 2, 2, now(), 'c')""",
    "invoices_customer_id_month_key": f"""{INVOICE}
        VALUES ('n1', 'c', '2027-02-01', '2027-03-01', 100, 10, 110, '{{}}'),
               ('n2', 'c', '2027-02-01', '2027-03-02', 100, 10, 110, '{{}}')""",
    "invoice_entries_pkey": "invoice_entries VALUES ('s/FEE/1', 'n1'), ('s/FEE/1', 'n2')",
    "account_names_held": f"{NAME} VALUES ('n', 'DOMAIN', 's1', 'HELD'), ('n', 'DOMAIN', 's2', 'HELD')",
    "webhook_deliveries_endpoint_id_subscription_id_sequence_key": f"""{DELIVERY}
        VALUES ('e', 's', 1, NULL, NULL), ('e', 's', 1, NULL, NULL)""",
    "bulk_items_run_id_subscription_id_key": """bulk_items (run_id, position, subscription_id, customer_id,
        sequence, expected_on, monthly_before, monthly_after, charge)
        VALUES ('r', 1, 's', 'c', 1, '2027-02-01', 1, 1, 0), ('r', 2, 's', 'c', 1, '2027-02-01', 1, 1, 0)""",
    "command_answers_pkey": """command_answers (subscription_id, command_id, sequence, answer, fingerprint)
        VALUES ('s', 'i', 1, '{}', 'f'), ('s', 'i', 1, '{}', 'f')""",
}


@pytest.mark.parametrize("constraint", CHECKED | UNIQUE)
async def test_row_that_contradicts_a_rule_is_refused(service_env: ServiceEnv, constraint: str) -> None:
    with pytest.raises((asyncpg.CheckViolationError, asyncpg.UniqueViolationError)) as refused:
        await service_env.owner.execute(f"INSERT INTO {(CHECKED | UNIQUE)[constraint]}")
    assert refused.value.constraint_name == constraint
