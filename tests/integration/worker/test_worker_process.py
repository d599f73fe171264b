"""The worker process: it logs its work, waits for its servers, shuts down cleanly and loses nothing."""

import asyncio
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from support.database_pool import create_database
from support.polling import gather_all, wait_for
from support.service_env import catalogue_text, unique_name
from support.subscription_driver import SubscriptionDriver
from support.tcp_proxy import TcpProxy
from support.worker_env import WorkerEnv, open_worker_env, register_namespace
from support.worker_process import worker_process
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from adapters.temporal.client import TASK_QUEUE
from dev_stack.child_server import free_ports
from dev_stack.postgres_server import PostgresServer, as_login
from dev_stack.stack import EmbeddedStack
from subscription.refusals import RefusalCode

CONNECTED = ("Connected to Temporal at", "Connected to PostgreSQL at", f"Working on task queue {TASK_QUEUE}")


@pytest.fixture(scope="module")
async def worker_env(
    stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WorkerEnv]:
    async with open_worker_env(stack, tmp_path_factory.mktemp("worker_env")) as opened:
        yield opened


# -- stopping ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "forked", "cached"), [(signal.SIGTERM, False, "1000"), (signal.SIGINT, True, "0")]
)
async def test_worker_logs_connections_and_shuts_down_cleanly(
    worker_env: WorkerEnv, stack: EmbeddedStack, number: signal.Signals, forked: bool, cached: str
) -> None:
    """Both signals take the same way to the exit; the exit itself needs a new interpreter.

    One of the workers caches no workflows.
    """
    settings = {
        "WORKSUB_CACHED_WORKFLOWS": cached,
        "WORKSUB_SMTP_URL": "smtp://worksub@127.0.0.1:2525",
        "WORKSUB_SMTP_PASSWORD": "mail secret",
        "WORKSUB_SMTP_FROM": "NAVER WORKS <notices@works.example>",
    }
    async with worker_process(worker_env.settings | settings, worker_env.home, forked=forked) as worker:
        for line in (*CONNECTED, "Notices are sent by 127.0.0.1:2525, as notices@works.example."):
            await worker.says(line)
        assert stack.addresses.temporal_address in worker.output
        assert f"namespace {worker_env.settings['TEMPORAL_NAMESPACE']}" in worker.output
        subscription = await worker_env.service_env.requested()
        await is_refused_without_a_stack_trace(subscription)
        worker.send(number)
        assert await worker.exit_code() == 0
    lines = worker.output.splitlines()
    assert lines[-1].endswith(" INFO adapters.worker_process Stopped.")
    assert not any(word in worker.output for word in ("Traceback", "Error", "error"))
    password = worker_env.settings["DATABASE_URL"].split(":")[2].split("@")[0]
    assert password not in worker.output
    assert "mail secret" not in worker.output
    assert await subscription.events() == ["TRIAL_STARTED"]


async def is_refused_without_a_stack_trace(subscription: SubscriptionDriver) -> None:
    """Check that the refusal has no stack trace, which Temporal's UI would show to operators."""
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await subscription.handle.execute_update("check_domain", {})
    refusal = refused.value.cause
    assert isinstance(refusal, ApplicationError)
    assert refusal.type == RefusalCode.NO_PROOF_AWAITED
    assert refusal.failure is not None
    assert refusal.failure.stack_trace == ""


async def test_interrupted_work_is_finished_once_by_next_worker(stack: EmbeddedStack, tmp_path: Path) -> None:
    """The signal of a deployment; `test_killed_workers.py` kills workers."""
    async with open_worker_env(stack, tmp_path) as worker_env:
        living = asyncio.create_task(many_subscriptions(worker_env, 5))
        async with worker_process(worker_env.settings, tmp_path) as worker:
            await wait_for("some subscriptions have started", partial(have_begun, worker_env, 3))
            worker.send(signal.SIGTERM)
            assert await worker.exit_code() == 0
        async with worker_process(worker_env.settings, tmp_path) as worker:
            await have_run_once(await living)
            worker.send(signal.SIGTERM)
            assert await worker.exit_code() == 0
        assert not await names_are_held(worker_env, 1)


async def many_subscriptions(worker_env: WorkerEnv, count: int) -> list[SubscriptionDriver]:
    """Request, change and cancel this many subscriptions concurrently."""

    async def run_subscription() -> SubscriptionDriver:
        subscription = await worker_env.service_env.requested()
        await subscription.send("rename_account", group=unique_name("worker-env"), id="rename")
        await subscription.send("cancel", date=f"{await subscription.today()}", id="the-end")
        return subscription

    return await gather_all(run_subscription() for _ in range(count))


async def have_begun(worker_env: WorkerEnv, count: int) -> bool:
    """Return whether so many have been requested; names would not do, because erasures release them."""
    query = "SELECT count(*) FROM lifecycle_events WHERE event = 'TRIAL_STARTED'"
    return int(await worker_env.service_env.owner.fetchval(query)) >= count


async def names_are_held(worker_env: WorkerEnv, count: int) -> bool:
    return int(await worker_env.service_env.owner.fetchval("SELECT count(*) FROM account_names")) >= count


async def have_run_once(subscriptions: list[SubscriptionDriver]) -> None:
    await gather_all(subscription.has_closed() for subscription in subscriptions)
    for subscription in subscriptions:
        assert await subscription.events() == ["TRIAL_STARTED", "ACCOUNT_RENAMED", "CANCELED", "ERASED"]
        [_, histories] = await subscription.client.certificates(subscription.id)
        assert histories.rows == {"workflow_runs": 2}
        assert await subscription.failed_tasks() == []


# -- waiting -----------------------------------------------------------------------------------------


async def test_worker_waits_for_servers_and_logs_the_reason(
    worker_env: WorkerEnv, stack: EmbeddedStack
) -> None:
    async with TcpProxy() as to_temporal, TcpProxy() as to_postgresql:
        url = to_postgresql.leads_to_database(worker_env.settings["DATABASE_URL"])
        to_postgresql.leads_to("")
        settings = {**worker_env.settings, "DATABASE_URL": url, "TEMPORAL_ADDRESS": to_temporal.address}
        async with worker_process(settings, worker_env.home) as worker:
            await worker.says(f"Waiting for Temporal: {to_temporal.address} does not answer: ")
            to_temporal.leads_to(stack.addresses.temporal_address)
            await worker.says("Connected to Temporal")
            await worker.says("Waiting for PostgreSQL: ")
            to_postgresql.leads_to_database(worker_env.settings["DATABASE_URL"])
            await worker.says("Working on")
            assert "Traceback" not in worker.output
            worker.send(signal.SIGTERM)
            assert await worker.exit_code() == 0


async def test_worker_waits_for_each_of_its_pools(worker_env: WorkerEnv) -> None:
    """PostgreSQL may become unavailable when the worker has opened only its first pool."""
    owner, url = worker_env.service_env.owner, worker_env.settings["DATABASE_URL"]
    login, password = unique_name("limited").replace("-", "_"), urlsplit(url).password
    await owner.execute(
        f"CREATE ROLE {login} LOGIN CONNECTION LIMIT 1 PASSWORD '{password}' IN ROLE worksub_worker"
    )
    settings = {**worker_env.settings, "DATABASE_URL": as_login(url, login)}
    try:
        async with worker_process(settings, worker_env.home) as worker:
            await worker.says("Connected to PostgreSQL")
            await worker.says("Waiting for PostgreSQL: too many connections for role")
            await owner.execute(f"ALTER ROLE {login} CONNECTION LIMIT -1")
            await worker.says("Working on")
            assert "Traceback" not in worker.output
    finally:  # `doctor` reports the logins of the server, which other tests share.
        await owner.execute(f"DROP ROLE {login}")


@pytest.mark.parametrize("missing", ["Temporal", "PostgreSQL"])
async def test_worker_stops_while_waiting_for_servers(worker_env: WorkerEnv, missing: str) -> None:
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    settings = {
        "Temporal": {"TEMPORAL_ADDRESS": nowhere},
        "PostgreSQL": {"DATABASE_URL": f"postgresql://worksub@{nowhere}/worksub"},
    }
    async with worker_process({**worker_env.settings, **settings[missing]}, worker_env.home) as worker:
        await worker.says(f"Waiting for {missing}: ")
        worker.send(signal.SIGTERM)
        assert await worker.exit_code() == 0
        assert worker.output.splitlines()[-1].endswith(" INFO adapters.worker_process Stopped.")


# -- invalid settings --------------------------------------------------------------------------------


class Wrong(NamedTuple):
    """Invalid settings, and the text that the error message must contain."""

    settings: dict[str, str]
    names: tuple[str, ...]


async def wrong_settings(worker_env: WorkerEnv, new_server: PostgresServer) -> dict[str, Wrong]:
    url = worker_env.settings["DATABASE_URL"]
    password = url.split(":")[2].split("@")[0]
    home = worker_env.home

    def file(name: str, text: str) -> str:
        (home / name).write_text(text)
        return str(home / name)

    not_text = home / "not-text.toml"
    not_text.write_bytes(b"version = '\xff\xfe'")
    below = catalogue_text().replace("annual = 6000", "annual = 60000")
    line = below.splitlines().index("[plans.basic]") + 1
    bare = unique_name("bare")
    await register_namespace(worker_env.stack, bare)
    outsider = await login_without_a_role(worker_env)
    taken = worker_env.stack.addresses.temporal_address
    empty = await create_database(worker_env.stack, unique_name("empty").replace("-", "_"), "template0")
    return {
        "no database URL": Wrong({"DATABASE_URL": ""}, ("DATABASE_URL is not set", "postgresql://")),
        "nonsense for a URL": Wrong({"DATABASE_URL": "nonsense"}, ("DATABASE_URL",)),
        "a port that is none": Wrong({"DATABASE_URL": "postgresql://a@127.0.0.1:port/x"}, ("DATABASE_URL",)),
        "a port too high": Wrong({"DATABASE_URL": "postgresql://a@127.0.0.1:99999/x"}, ("DATABASE_URL",)),
        "another kind of database": Wrong({"DATABASE_URL": "mysql://a@127.0.0.1/x"}, ("PostgreSQL URL",)),
        "no TLS at the database": Wrong({"DATABASE_URL": f"{url}?sslmode=require"}, ("sslmode",)),
        # With or without Temporal, because the worker does not connect to it.
        "a URL that is none, Temporal away": Wrong(
            {"DATABASE_URL": "nonsense", "TEMPORAL_ADDRESS": "127.0.0.1:1"}, ("DATABASE_URL",)
        ),
        "a wrong password": Wrong(
            {"DATABASE_URL": url.replace(password, "wrong")}, ("password", "DATABASE_URL")
        ),
        "an unknown database": Wrong({"DATABASE_URL": f"{url}_not"}, ("does not exist", "worksub setup")),
        "no schema": Wrong({"DATABASE_URL": empty}, ("worksub setup",)),
        "no schema on a fresh server": Wrong({"DATABASE_URL": new_server.dsn()}, ("worksub setup",)),
        "a login without a role": Wrong({"DATABASE_URL": outsider}, ("DATABASE_URL",)),
        "no such catalogue": Wrong(
            {"WORKSUB_CATALOGUE": str(home / "none.toml")}, ("none.toml", "No such file")
        ),
        "a catalogue that is not text": Wrong({"WORKSUB_CATALOGUE": str(not_text)}, ("not-text.toml",)),
        "a catalogue that is not TOML": Wrong(
            {"WORKSUB_CATALOGUE": file("syntax.toml", "version = 1\n[[[")}, ("syntax.toml", "line 2")
        ),
        "a catalogue that makes no sense": Wrong(
            {"WORKSUB_CATALOGUE": file("below.toml", below)}, (f"below.toml, line {line}", "annual price")
        ),
        "a changed catalogue": Wrong(
            {"WORKSUB_CATALOGUE": file("changed.toml", catalogue_text().replace("6000", "5000"))},
            ("2020-01", "never changes", "`version`"),
        ),
        "an earlier catalogue": Wrong(
            {"WORKSUB_CATALOGUE": file("earlier.toml", catalogue_text("earlier", "2019-01-01"))},
            ("earlier", "effective_from"),
        ),
        "an unknown namespace": Wrong({"TEMPORAL_NAMESPACE": "no-such-namespace"}, ("no-such-namespace",)),
        "an address that is none": Wrong({"TEMPORAL_ADDRESS": "::nonsense::"}, ("TEMPORAL_ADDRESS",)),
        "an address without a port": Wrong(
            {"TEMPORAL_ADDRESS": "127.0.0.1"}, ("TEMPORAL_ADDRESS", "localhost:7233")
        ),
        "an address with a scheme": Wrong(
            {"TEMPORAL_ADDRESS": f"http://{worker_env.settings['TEMPORAL_ADDRESS']}"}, ("TEMPORAL_ADDRESS",)
        ),
        "TLS that is asked for by a wrong word": Wrong({"TEMPORAL_TLS": "no"}, ("TEMPORAL_TLS", "true")),
        "TLS that Temporal does not speak": Wrong({"TEMPORAL_TLS": "true"}, ("TLS", "TEMPORAL_TLS")),
        "a certificate that is none": Wrong(
            {
                "TEMPORAL_TLS_CLIENT_CERT_PATH": str(not_text),
                "TEMPORAL_TLS_CLIENT_KEY_PATH": str(not_text),
            },
            ("TEMPORAL_TLS_CLIENT_CERT_PATH",),
        ),
        "no such file of profiles": Wrong({"TEMPORAL_CONFIG_FILE": "/no/such.toml"}, ("/no/such.toml",)),
        "an unknown profile": Wrong({"TEMPORAL_PROFILE": "no-such-profile"}, ("no-such-profile",)),
        "a broken Temporal file": Wrong(
            {"TEMPORAL_CONFIG_FILE": file("temporal.toml", "[profile")}, ("Temporal's settings",)
        ),
        "a certificate that is not there": Wrong(
            {"TEMPORAL_TLS_CLIENT_CERT_PATH": "/no/such.pem", "TEMPORAL_TLS_CLIENT_KEY_PATH": "/no/such.key"},
            ("/no/such.",),
        ),
        "a resolver that is none": Wrong(
            {"WORKSUB_DNS_RESOLVERS": "127.0.0.1:dns"}, ("WORKSUB_DNS_RESOLVERS",)
        ),
        "a resolver by name": Wrong({"WORKSUB_DNS_RESOLVERS": "resolver"}, ("WORKSUB_DNS_RESOLVERS",)),
        "metrics at no address": Wrong(
            {"WORKSUB_METRICS_ADDRESS": "localhost:9464"}, ("WORKSUB_METRICS_ADDRESS", "127.0.0.1:")
        ),
        "metrics where another listens": Wrong(
            {"WORKSUB_METRICS_ADDRESS": taken}, ("WORKSUB_METRICS_ADDRESS", taken, "Address already in use")
        ),
        "health at no port": Wrong({"WORKSUB_HEALTH_ADDRESS": "127.0.0.1"}, ("WORKSUB_HEALTH_ADDRESS",)),
        "health where another listens": Wrong(
            {"WORKSUB_HEALTH_ADDRESS": taken}, ("WORKSUB_HEALTH_ADDRESS", taken, "Address already in use")
        ),
        "a log format that is none": Wrong(
            {"WORKSUB_LOG_FORMAT": "xml"}, ("WORKSUB_LOG_FORMAT", "'text' or 'json'")
        ),
        "a deployment without a build": Wrong(
            {"TEMPORAL_DEPLOYMENT_NAME": "worksub"}, ("TEMPORAL_WORKER_BUILD_ID is not", "or neither")
        ),
        "a build without a deployment": Wrong(
            {"TEMPORAL_WORKER_BUILD_ID": "0.1.0"}, ("TEMPORAL_DEPLOYMENT_NAME is not", "or neither")
        ),
        "a deployment that Temporal has no name for": Wrong(
            {"TEMPORAL_DEPLOYMENT_NAME": "work.sub", "TEMPORAL_WORKER_BUILD_ID": "0.1.0"},
            ("TEMPORAL_DEPLOYMENT_NAME is 'work.sub'", "letters, digits, hyphens"),
        ),
        "a build that Temporal has no name for": Wrong(
            {"TEMPORAL_DEPLOYMENT_NAME": "worksub", "TEMPORAL_WORKER_BUILD_ID": "v1:2"},
            ("TEMPORAL_WORKER_BUILD_ID is 'v1:2'", "letters, digits, hyphens"),
        ),
        "no search attributes": Wrong(
            {"TEMPORAL_NAMESPACE": bare},
            ("search attributes", "SubscriptionState", "worksub setup"),
        ),
    }


async def login_without_a_role(worker_env: WorkerEnv) -> str:
    """Create a login without any privileges; return its URL."""
    await worker_env.service_env.owner.execute("CREATE ROLE outsider LOGIN PASSWORD 'outside'")
    server = worker_env.settings["DATABASE_URL"].rpartition("@")[2]
    return f"postgresql://outsider:outside@{server}"  # pragma: allowlist secret


async def test_misconfiguration_is_one_message_and_exit_code_2(worker_env: WorkerEnv, tmp_path: Path) -> None:
    at_once = asyncio.Semaphore(4)

    async def problem_of(what: str, wrong: Wrong) -> str | None:
        """Return the problem of the error message, or None."""
        settings = {**worker_env.settings, **wrong.settings}
        async with at_once, worker_process(settings, worker_env.home) as worker:
            try:
                code = await worker.exit_code()
            except AssertionError as error:
                return f"{what}: {error}"
        missing = [name for name in wrong.names if name not in worker.output]
        news = ("Connected to", "are encrypted with")
        sentences = [line for line in worker.output.splitlines() if not any(word in line for word in news)]
        if code == 2 and not missing and len(sentences) == 1 and "Traceback" not in worker.output:
            return None
        return f"{what}: exit code {code}, without {missing}:\n{worker.output}"

    async with PostgresServer(tmp_path) as new_server:
        settings = await wrong_settings(worker_env, new_server)
        found = await gather_all(problem_of(what, wrong) for what, wrong in settings.items())
    complaints = [complaint for complaint in found if complaint is not None]
    assert not complaints, "\n\n".join(complaints)
