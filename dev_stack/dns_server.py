"""A small authoritative DNS server for the local stack and tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, Self

from dnslib import CNAME, MX, QTYPE, RCODE, RR, TXT, DNSError, DNSLabel, DNSRecord  # type: ignore[import-untyped]
from dnslib.server import DNSLogger, DNSServer  # type: ignore[import-untyped]

from dev_stack.child_server import LOOPBACK, ServerError

# Delay until a server reacts to its shutdown; the default of the socketserver module is 0.5 s.
STOP_POLL_SECONDS = 0.02
PORT_ATTEMPTS = 20


class DnsServer:
    """DNS server with records in memory: `with DnsServer() as dns` serves UDP and TCP on one free port.

    A name without records is answered with NXDOMAIN. A name that has only records of other types, or only
    subdomains with records, is answered without records. Names are case-insensitive; the final dot is
    optional.

    Attributes: `address` ("host:port"), valid while the server runs; `answer_with`, which tests set to
    "servfail" (every query fails) or "timeout" (no query is answered).
    """

    address: str

    def __init__(self) -> None:
        self.answer_with: Literal["normal", "servfail", "timeout"] = "normal"
        self._records: dict[DNSLabel, list[RR]] = {}
        self._lock = threading.Lock()
        self._servers: list[DNSServer] = []

    def publish_txt(self, name: str, *strings: str) -> None:
        """Add a TXT record to the records of `name`: one value in strings of at most 255 bytes each."""
        self._publish(name, "TXT", TXT([string.encode() for string in strings]))

    def publish_cname(self, name: str, target: str) -> None:
        """Add a CNAME record that makes `name` an alias of `target`."""
        self._publish(name, "CNAME", CNAME(target))

    def publish_mx(self, name: str, exchange: str, preference: int = 10) -> None:
        """Add an MX record that names a mail server of `name`."""
        self._publish(name, "MX", MX(exchange, preference))

    @contextmanager
    def published_txt(self, name: str, value: str) -> Iterator[None]:
        """Publish a TXT record until the context exits; the other records of `name` are not changed."""
        record = self._publish(name, "TXT", TXT(value.encode()))
        try:
            yield
        finally:
            with self._lock:
                others = [other for other in self._records.pop(DNSLabel(name), []) if other is not record]
                if others:
                    self._records[DNSLabel(name)] = others

    def withdraw(self, name: str) -> None:
        """Remove all records of `name`, if any."""
        with self._lock:
            self._records.pop(DNSLabel(name), None)

    def clear(self) -> None:
        """Remove all records."""
        with self._lock:
            self._records.clear()

    def __enter__(self) -> Self:
        quiet = DNSLogger("-request,-reply,-truncated,-error")
        for _ in range(PORT_ATTEMPTS):
            udp = DNSServer(self, address=LOOPBACK, port=0, logger=quiet)
            port = udp.server.server_address[1]
            try:
                tcp = DNSServer(self, address=LOOPBACK, port=port, tcp=True, logger=quiet)
            except OSError:  # free for UDP, taken for TCP
                udp.server.server_close()
                continue
            self.address = f"{LOOPBACK}:{port}"
            self._servers = [udp, tcp]
            for server in self._servers:
                threading.Thread(
                    target=server.server.serve_forever, args=(STOP_POLL_SECONDS,), name="dns", daemon=True
                ).start()
            return self
        raise ServerError("The DNS server found no port that is free for UDP and TCP.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.server.shutdown()
            server.server.server_close()

    def resolve(self, request: DNSRecord, handler: Any) -> DNSRecord:
        """Answer one query; dnslib calls this method in a separate thread."""
        if self.answer_with == "timeout":
            raise DNSError("unanswered")  # dnslib sends no response after this error
        reply = request.reply(ra=0)
        if self.answer_with == "servfail":
            reply.header.rcode = RCODE.SERVFAIL
            return reply
        name, kind = request.q.qname, request.q.qtype
        with self._lock:
            if not any(known.matchSuffix(name) for known in self._records):
                reply.header.rcode = RCODE.NXDOMAIN
            seen = set()
            while name is not None and name not in seen:
                seen.add(name)
                records = [
                    record for record in self._records.get(name, ()) if record.rtype in (kind, QTYPE.CNAME)
                ]
                reply.add_answer(*records)
                aliases = [record.rdata.label for record in records if record.rtype == QTYPE.CNAME != kind]
                name = aliases[0] if aliases else None
        return reply

    def _publish(self, name: str, kind: str, data: TXT | CNAME | MX) -> RR:
        record = RR(name, getattr(QTYPE, kind), rdata=data, ttl=0)
        with self._lock:
            self._records.setdefault(DNSLabel(name), []).append(record)
        return record
