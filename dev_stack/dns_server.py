"""A small authoritative DNS server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, Self

from dnslib import CNAME, QTYPE, RCODE, RR, TXT, DNSError, DNSLabel, DNSRecord  # type: ignore[import-untyped]
from dnslib.server import DNSLogger, DNSServer  # type: ignore[import-untyped]

from dev_stack.child_server import LOOPBACK, ServerError

# How long a stopping server may take to notice; the socketserver module's own 0.5 s would be felt.
STOP_POLL_SECONDS = 0.02
PORT_ATTEMPTS = 20


class DnsServer:
    """`with DnsServer() as dns` answers over UDP and TCP on one free port, from records kept in memory.

    A name that holds nothing is NXDOMAIN; one that holds other types, or lies above a name that holds
    something, answers without records. Names are compared without regard to case; the final dot is optional.

    Attributes: `address` ("host:port"), valid while it runs; `answer_with`, which tests set to "servfail"
    (every question fails) or "timeout" (no question is answered).
    """

    address: str

    def __init__(self) -> None:
        self.answer_with: Literal["normal", "servfail", "timeout"] = "normal"
        self._records: dict[DNSLabel, list[RR]] = {}
        self._changing = threading.Lock()
        self._servers: list[DNSServer] = []

    def publish_txt(self, name: str, value: str) -> None:
        """Add a TXT record of at most 255 bytes to those of `name`."""
        self._publish(name, "TXT", TXT(value.encode()))

    def publish_cname(self, name: str, target: str) -> None:
        """Add a CNAME record that makes `name` an alias of `target`."""
        self._publish(name, "CNAME", CNAME(target))

    @contextmanager
    def published_txt(self, name: str, value: str) -> Iterator[None]:
        """Publish a TXT record for as long as it takes; the other records of `name` stay."""
        record = self._publish(name, "TXT", TXT(value.encode()))
        try:
            yield
        finally:
            with self._changing:
                others = [each for each in self._records.pop(DNSLabel(name), []) if each is not record]
                if others:
                    self._records[DNSLabel(name)] = others

    def withdraw(self, name: str) -> None:
        """Remove every record of `name`; nothing happens if it has none."""
        with self._changing:
            self._records.pop(DNSLabel(name), None)

    def clear(self) -> None:
        """Remove every record."""
        with self._changing:
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
            for each in self._servers:
                threading.Thread(
                    target=each.server.serve_forever, args=(STOP_POLL_SECONDS,), name="dns", daemon=True
                ).start()
            return self
        raise ServerError("The DNS server found no port that is free for UDP and TCP.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._servers:
            each.server.shutdown()
            each.server.server_close()

    def resolve(self, request: DNSRecord, handler: Any) -> DNSRecord:
        """Answer one question; dnslib calls it in a thread of its own."""
        if self.answer_with == "timeout":
            raise DNSError("unanswered")  # which is how dnslib is told to send nothing
        reply = request.reply(ra=0)
        if self.answer_with == "servfail":
            reply.header.rcode = RCODE.SERVFAIL
            return reply
        name, kind = request.q.qname, request.q.qtype
        with self._changing:
            if not any(known.matchSuffix(name) for known in self._records):
                reply.header.rcode = RCODE.NXDOMAIN
            seen = set()
            while name is not None and name not in seen:
                seen.add(name)
                found = [
                    record for record in self._records.get(name, ()) if record.rtype in (kind, QTYPE.CNAME)
                ]
                reply.add_answer(*found)
                aliases = [record.rdata.label for record in found if record.rtype == QTYPE.CNAME != kind]
                name = aliases[0] if aliases else None
        return reply

    def _publish(self, name: str, kind: str, data: TXT | CNAME) -> RR:
        record = RR(name, getattr(QTYPE, kind), rdata=data, ttl=0)
        with self._changing:
            self._records.setdefault(DNSLabel(name), []).append(record)
        return record
