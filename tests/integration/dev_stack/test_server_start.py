"""Start and stop of an embedded server: its ports, and the error of one that does not start."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest

from dev_stack import postgres_server, temporal_server
from dev_stack.child_server import ChildProcess, DirectoryLock, ServerError, free_ports
from dev_stack.postgres_server import PostgresServer
from dev_stack.reserved_ports import DefaultPorts
from dev_stack.temporal_server import TemporalServer


def test_default_port_is_reserved_before_server_start() -> None:
    [port] = free_ports(1)
    messages: list[str] = []
    with DefaultPorts(messages.append) as first:
        assert first.choose(port) == port
        assert first.choose(port) == port, "its own reservation is not another program's"
        with DefaultPorts(messages.append) as second:
            other = second.choose(port)
            assert messages == [f"Port {port} is in use by another program, so port {other} is used instead."]
            assert other != port
    with DefaultPorts(messages.append) as third:
        assert third.choose(port) == port
    assert len(messages) == 1


async def test_temporal_uses_another_port_if_the_default_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default_port, default_ui_port = free_ports(2)
    monkeypatch.setattr(temporal_server, "DEFAULT_PORT", default_port)
    monkeypatch.setattr(temporal_server, "DEFAULT_UI_PORT", default_ui_port)
    messages: list[str] = []
    with ExitStack() as other_program, DefaultPorts(messages.append) as ports:

        class PortsTakenOnceChosen(DefaultPorts):
            def choose(self, default: int) -> int:
                port = ports.choose(default)
                if port == default_port:
                    other_program.enter_context(socket.create_server(("127.0.0.1", port)))
                return port

        server = TemporalServer(
            tmp_path, search_attributes={}, default_ports=PortsTakenOnceChosen(messages.append)
        )
        async with server:
            port = int(server.address.rpartition(":")[2])
    assert messages == [f"Port {default_port} is in use by another program, so port {port} is used instead."]
    assert server.ui_url.endswith(f":{default_ui_port}")


STOPS_WHEN_ALLOWED = """
import signal, sys
[begun, allowed] = sys.argv[1:]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
open(begun, "w").close()
signal.sigwait([signal.SIGTERM])
open(begun, "w").close()
open(allowed).close()
"""


async def test_cancelled_stop_still_ends_the_process(tmp_path: Path) -> None:
    begun, allowed = tmp_path / "begun", tmp_path / "allowed"
    os.mkfifo(begun)
    os.mkfifo(allowed)
    async with DirectoryLock(tmp_path) as lock:
        process = await ChildProcess.start(
            "A server",
            [sys.executable, "-c", STOPS_WHEN_ALLOWED, begun, allowed],
            log=tmp_path / "log",
            lock=lock,
            stop_signal=signal.SIGTERM,
        )
        await asyncio.to_thread(begun.read_bytes)
        stopping = asyncio.create_task(process.stop())
        await asyncio.to_thread(begun.read_bytes)
        for _ in range(2):
            stopping.cancel()
            await asyncio.wait({stopping}, timeout=0)
            assert not stopping.done(), "the process has not ended yet"
        await asyncio.to_thread(allowed.write_bytes, b"")
        with pytest.raises(asyncio.CancelledError):
            await stopping
        await process.wait_for_success()


async def test_taken_port_is_reported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} is taken"):
            async with TemporalServer(tmp_path, search_attributes={}, port=port):
                pass


def test_free_ports_are_not_ephemeral() -> None:
    ports = free_ports(5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert max(ports) < listener.getsockname()[1]
    assert len(set(ports)) == 5


@pytest.mark.parametrize("module", [temporal_server, postgres_server])
async def test_server_starts_again_when_its_port_is_taken(
    module: ModuleType, stopped_stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        answers = iter([[taken, *free_ports(1)]])
        monkeypatch.setattr(module, "free_ports", lambda count: next(answers, free_ports(2))[:count])
        server = (
            TemporalServer(tmp_path, search_attributes={})
            if module is temporal_server
            else PostgresServer(stopped_stack / "postgres")
        )
        async with server:
            assert server.pid
        assert next(answers, None) is None


async def test_a_server_that_ends_at_start_shows_its_log(tmp_path: Path) -> None:
    (tmp_path / "temporal.db").write_text("no database at all, but long enough to be taken for one" * 100)
    with pytest.raises(ServerError, match=r"(?s)exit code 1.*temporal\.log:.*not a database"):
        async with TemporalServer(tmp_path, search_attributes={}):
            pass


async def test_postgres_refuses_data_that_it_cannot_read(stopped_stack: Path) -> None:
    (stopped_stack / "postgres" / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(ServerError, match=r"(?s)exit code 1.*postgres\.log:.*incompatible"):
        async with PostgresServer(stopped_stack / "postgres"):
            pass
