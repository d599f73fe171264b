"""Privileges of a compromised worker in the database: it can erase, and certify only that (R31)."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from support.polling import wait_for
from support.service_env import ServiceEnv
from support.subscription_driver import SubscriptionDriver

from activities.erasure import PERSONAL_DATA
from subscription.state import State

Connection = asyncpg.Connection
NO_RIGHT = asyncpg.InsufficientPrivilegeError
REFUSED = asyncpg.RestrictViolationError

CERTIFICATE = "INSERT INTO erasure_certificates (subscription_id, part, erased_at, rows) VALUES ('{0}', {1})"
CANCELED = """
    UPDATE subscriptions SET sequence = sequence + 1 WHERE subscription_id = '{0}';
    INSERT INTO lifecycle_events (subscription_id, sequence, event, state, effective_at, detail)
    SELECT subscription_id, sequence, 'CANCELED', 'CANCELED', now(), '{{}}'
      FROM subscriptions WHERE subscription_id = '{0}';
"""
ERASED = """
    UPDATE subscriptions SET state = 'ERASED', sequence = sequence + 1 WHERE subscription_id = '{0}';
    INSERT INTO lifecycle_events (subscription_id, sequence, event, state, effective_at, detail)
    SELECT subscription_id, sequence, 'ERASED', 'ERASED', now(), '{{}}'
      FROM subscriptions WHERE subscription_id = '{0}';
"""
END = CANCELED + ERASED
NAMELESS = """
    UPDATE subscriptions
       SET snapshot = snapshot::jsonb || '{{"account": null, "admin_id": null, "pending_domain": null}}'
     WHERE subscription_id = '{0}';
"""
ERASE = "SELECT erase_personal_data('{0}')"

FORGERIES = {
    "written by hand": (CERTIFICATE.format("{0}", "'DATABASE', now(), '{{}}'"), NO_RIGHT),
    "of the histories, by hand": (CERTIFICATE.format("{0}", "'HISTORIES', now(), '{{}}'"), NO_RIGHT),
    "of another, changed": ("UPDATE erasure_certificates SET subscription_id = '{0}'", NO_RIGHT),
    "copied in": ("COPY erasure_certificates FROM STDIN", NO_RIGHT),
    "for a living one": (ERASE, REFUSED),
    "for nobody": ("SELECT erase_personal_data('nobody')", REFUSED),
    "for one whose row alone says that it is erased": (
        "UPDATE subscriptions SET state = 'ERASED' WHERE subscription_id = '{0}';" + ERASE,
        REFUSED,
    ),
    "for one whose events alone say so": (
        END + "UPDATE subscriptions SET state = 'ACTIVE' WHERE subscription_id = '{0}';" + ERASE,
        REFUSED,
    ),
    "for one that has had an event since": (
        END
        + NAMELESS
        + "UPDATE subscriptions SET sequence = sequence - 1 WHERE subscription_id = '{0}';"
        + ERASE,
        REFUSED,
    ),
    "for one that nobody has cancelled": (ERASED + NAMELESS + ERASE, REFUSED),
    "for one whose state still names somebody": (END + ERASE, REFUSED),
    "with tables of one's own": (
        """
        CREATE TEMP TABLE subscriptions AS SELECT '{0}' AS subscription_id, 'ERASED' AS state, 1 AS sequence,
                                                  '{{}}'::json AS snapshot;
        CREATE TEMP TABLE lifecycle_events AS SELECT '{0}' AS subscription_id, 1 AS sequence,
                                                     'ERASED' AS event, now() AS effective_at;
        CREATE TEMP TABLE personal_data (relation text);
        CREATE TEMP TABLE erasure_certificates (LIKE public.erasure_certificates);
        SET search_path = pg_temp, public;
        SELECT public.erase_personal_data('{0}');
        """,
        REFUSED,
    ),
    "with functions and operators of one's own": (
        END
        + """
        CREATE FUNCTION pg_temp.contains_personal_data(json) RETURNS boolean LANGUAGE sql AS 'SELECT false';
        CREATE FUNCTION pg_temp.never(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
        CREATE OPERATOR pg_temp.= (FUNCTION = pg_temp.never, LEFTARG = text, RIGHTARG = text);
        SET search_path = pg_temp, public, pg_catalog;
        SELECT public.erase_personal_data('{0}');
        """,
        REFUSED,
    ),
    "without any table to delete from": ("DELETE FROM personal_data", NO_RIGHT),
    "as the owner": ("SET ROLE worksub_owner", NO_RIGHT),
    "as a superuser": ("SET ROLE postgres", asyncpg.PostgresError),
    "as somebody else's session": ("SET SESSION AUTHORIZATION worksub_owner", NO_RIGHT),
    "with the triggers asleep": ("SET session_replication_role = replica", NO_RIGHT),
    "with a trigger disabled": ("ALTER TABLE erasure_certificates DISABLE TRIGGER append_only", NO_RIGHT),
    "with a trigger of one's own": (
        """
        CREATE FUNCTION pg_temp.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER keep BEFORE DELETE ON companies FOR EACH ROW EXECUTE FUNCTION pg_temp.keep();
        """,
        NO_RIGHT,
    ),
    "with a rule of one's own": ("CREATE RULE keep AS ON DELETE TO companies DO INSTEAD NOTHING", NO_RIGHT),
    "with a function in the way": (
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        NO_RIGHT,
    ),
    "with another function in its place": (
        """
        CREATE OR REPLACE FUNCTION public.contains_personal_data(snapshot json) RETURNS boolean LANGUAGE sql
            AS 'SELECT false'
        """,
        NO_RIGHT,
    ),
    "with its settings changed": ("ALTER FUNCTION erase_personal_data RESET search_path", NO_RIGHT),
    "with a schema of one's own": ("CREATE SCHEMA mine", NO_RIGHT),
    "with rights of one's own making": (
        "GRANT INSERT ON erasure_certificates TO worksub_worker;"
        + CERTIFICATE.format("{0}", "'DATABASE', now(), '{{}}'"),
        NO_RIGHT,
    ),
    "with a role of one's own": ("CREATE ROLE mine SUPERUSER", NO_RIGHT),
    "by the trigger's function": ("SELECT refuse_after_erasure()", NO_RIGHT),
    "by the owner's procedure": ("CALL register_personal_data('companies')", NO_RIGHT),
    "by a program of the server": ("COPY companies FROM PROGRAM 'true'", NO_RIGHT),
    "with a sequence set back": ("SELECT setval('notices_number_seq', 1)", NO_RIGHT),
    "under another id": (
        "UPDATE subscriptions SET subscription_id = 'other' WHERE subscription_id = '{0}'",
        NO_RIGHT,
    ),
    "at another time than the clock's": (
        """
        INSERT INTO lifecycle_events
            (subscription_id, sequence, event, state, effective_at, detail, recorded_at)
        VALUES ('{0}', 99, 'ERASED', 'ERASED', now(), '{{}}', '2020-01-01')
        """,
        NO_RIGHT,
    ),
    "after the rows have been deleted one by one": (
        "DELETE FROM companies WHERE subscription_id = '{0}'",
        NO_RIGHT,
    ),
}


@pytest.fixture
async def attacker(service_env: ServiceEnv) -> AsyncIterator[Connection]:
    """Open a session with the worker's login and no role set, which has all privileges of the process."""
    connection = await asyncpg.connect(service_env.worker_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def active(service_env: ServiceEnv) -> SubscriptionDriver:
    return await service_env.requested()


@pytest.mark.parametrize("how", FORGERIES)
async def test_r31_no_certificate_is_forged(
    service_env: ServiceEnv, attacker: Connection, active: SubscriptionDriver, how: str
) -> None:
    statements, error = FORGERIES[how]
    with pytest.raises(error):
        async with attacker.transaction():
            await attacker.execute(statements.format(active.id))
    assert await active.client.certificates(active.id) == []
    assert await rows_of(service_env, active) == {
        **dict.fromkeys(PERSONAL_DATA, 0),
        **dict.fromkeys(("account_names", "administrators", "companies", "workspaces", "notice_emails"), 1),
    }


async def test_r31_histories_of_active_subscriptions_not_certified(
    attacker: Connection, active: SubscriptionDriver
) -> None:
    await attacker.execute("SELECT certify_histories($1, 7)", active.id)
    assert await active.client.certificates(active.id) == []


async def test_r31_certificate_counts_exactly_the_erased_rows(
    service_env: ServiceEnv, attacker: Connection
) -> None:
    subscription = await service_env.requested()
    before = await rows_of(service_env, subscription)
    await attacker.execute(END.format(subscription.id))
    await attacker.execute(NAMELESS.format(subscription.id))
    for _ in range(2):
        await attacker.execute(ERASE.format(subscription.id))
    assert await rows_of(service_env, subscription) == dict.fromkeys(PERSONAL_DATA, 0)
    [certificate] = await subscription.client.certificates(subscription.id)
    assert dict(certificate.rows) == before


async def test_r31_erased_data_stays_erased(service_env: ServiceEnv, attacker: Connection) -> None:
    subscription = await service_env.requested()
    await subscription.send("cancel", date=f"{await subscription.today()}")
    await subscription.has_closed()
    certificates = await subscription.client.certificates(subscription.id)
    for statement in (
        "INSERT INTO account_names VALUES ('again', 'GROUP', '{0}', 'HELD')",
        "INSERT INTO administrators VALUES ('{0}', 'hong', '$argon2id$v=19$m=19456,t=2,p=1$')",
        "INSERT INTO companies VALUES ('{0}', 'Acme', '+8221234567')",
        "INSERT INTO members VALUES ('{0}', 'hong')",
        "INSERT INTO workspaces VALUES ('{0}', 'acme', 'KR', 'VPC', 'basic', 1, 'FULL', 1)",
        "INSERT INTO domain_tokens VALUES ('{0}', 'acme.example', 'token')",
        "INSERT INTO event_private_data VALUES ('{0}', 1, 'hong', '{{}}')",
        "UPDATE subscriptions SET state = 'ACTIVE' WHERE subscription_id = '{0}'",
        """
        UPDATE subscriptions SET snapshot = snapshot::jsonb || '{{"admin_id": "hong"}}'
         WHERE subscription_id = '{0}'
        """,
    ):
        with pytest.raises(REFUSED, match=r"is erased|an erased subscription"):
            await attacker.execute(statement.format(subscription.id))
    with pytest.raises(NO_RIGHT):
        await attacker.execute("UPDATE subscriptions SET request_fingerprint = 'of a request'")
    with pytest.raises(REFUSED, match="an erased subscription"):
        await service_env.owner.execute(
            "UPDATE subscriptions SET request_fingerprint = 'again' WHERE subscription_id = $1",
            subscription.id,
        )
    await attacker.execute("SELECT certify_histories($1, 7)", subscription.id)
    assert await subscription.client.certificates(subscription.id) == certificates
    assert (await subscription.status()).state is State.ERASED


async def test_r31_concurrent_writes_are_erased_or_refused(
    service_env: ServiceEnv, attacker: Connection
) -> None:
    subscription = await service_env.requested()
    late = await asyncpg.connect(service_env.worker_url)
    try:
        await attacker.execute(END.format(subscription.id) + NAMELESS.format(subscription.id))
        writing = late.transaction()
        await writing.start()
        await late.execute("INSERT INTO members VALUES ($1, 'before')", subscription.id)
        erasing = attacker.transaction()
        await erasing.start()
        erased = asyncio.ensure_future(attacker.execute(ERASE.format(subscription.id)))
        await waits(service_env, attacker)
        await writing.commit()
        await erased
        refused = asyncio.ensure_future(
            late.execute("INSERT INTO members VALUES ($1, 'after')", subscription.id)
        )
        await waits(service_env, late)
        await erasing.commit()
        with pytest.raises(REFUSED, match="is erased"):
            await refused
    finally:
        await late.close()
    [certificate] = await subscription.client.certificates(subscription.id)
    assert certificate.rows["members"] == 1
    assert await rows_of(service_env, subscription) == dict.fromkeys(PERSONAL_DATA, 0)


async def test_tables_stay_append_only_with_triggers_disabled(
    service_env: ServiceEnv,
) -> None:
    """A superuser must explicitly disable the append-only protection of each table."""
    async with service_env.owner.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for change in (
            "UPDATE ledger_lines SET amount = 1",
            "DELETE FROM invoices",
            "TRUNCATE invoices CASCADE",
        ):
            with pytest.raises(REFUSED, match="append-only"):
                async with connection.transaction():
                    await connection.execute(change)


async def test_erasure_covers_every_table_with_personal_data(service_env: ServiceEnv) -> None:
    known = await service_env.owner.fetch("SELECT relation FROM personal_data")
    assert {relation for [relation] in known} == {*PERSONAL_DATA}
    guarded = await service_env.owner.fetch(
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'refuse_after_erasure'"
    )
    assert {table for [table] in guarded} == {*PERSONAL_DATA}


async def test_r31_each_personal_field_of_a_state_prevents_its_certificate(service_env: ServiceEnv) -> None:
    for field in ("account", "admin_id", "pending_domain", "pending_rename_domain"):
        for value, is_personal in (('{"name": "acme"}', True), ("null", False)):
            assert is_personal is await service_env.owner.fetchval(
                "SELECT contains_personal_data($1::text::json)", f'{{"{field}": {value}, "state": "ERASED"}}'
            )


async def test_r31_no_statistics_keep_personal_data(service_env: ServiceEnv) -> None:
    """ANALYZE copies values into `pg_statistic`, except those of columns with a statistics target of 0."""
    copied = await service_env.owner.fetch(
        """
        SELECT attname FROM pg_attribute JOIN personal_data ON attrelid = relation::regclass
         WHERE attnum > 0 AND NOT attisdropped AND coalesce(attstattarget, -1) <> 0
        """
    )
    assert {column for [column] in copied} == {
        *("subscription_id", "customer_id", "kind", "status", "region", "platform", "plan", "access"),
        *("members", "version", "sequence", "number", "realm", "token_hash", "key", "flash_tone"),
        *("reserved_since", "created_at", "seen_at", "taken_at"),
    }


GRANTED = {
    "add_member": {"worksub_console"},
    "remove_member": {"worksub_console"},
    "erase_personal_data": {"worksub_worker"},
    "certify_histories": {"worksub_worker"},
    "keyed_hash": {"worksub_worker", "worksub_reader"},
    "matches_erased_request": {"worksub_worker", "worksub_reader"},
}


async def test_security_definer_functions_pin_search_path_and_grants(
    service_env: ServiceEnv,
) -> None:
    for name, config, owner, acl in await service_env.owner.fetch(
        """
        SELECT proname, proconfig, proowner::regrole::text, coalesce(proacl, acldefault('f', proowner))::text
          FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
        """
    ):
        assert config == ["search_path=pg_catalog, pg_temp"], name
        grantees = {entry.partition("=")[0] for entry in acl.strip("{}").split(",")}
        assert grantees - {owner} == GRANTED.get(name, set()), name


async def rows_of(service_env: ServiceEnv, subscription: SubscriptionDriver) -> dict[str, int]:
    return {
        table: await service_env.owner.fetchval(
            f"SELECT count(*) FROM {table} WHERE subscription_id = $1", subscription.id
        )
        for table in PERSONAL_DATA
    }


async def waits(service_env: ServiceEnv, connection: Connection) -> None:
    async def for_a_lock() -> bool:
        return bool(
            await service_env.owner.fetchval(
                "SELECT count(*) FROM pg_locks WHERE pid = $1 AND NOT granted", connection.get_server_pid()
            )
        )

    await wait_for("it waits for a lock", for_a_lock)
