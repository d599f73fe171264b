"""A DNS server with false answers on request."""

from typing import Any

from dnslib import CNAME, QTYPE, RR, TXT, DNSRecord  # type: ignore[import-untyped]

from dev_stack.dns_server import DnsServer


class FaultyDnsServer(DnsServer):
    """While `lies` is true, every name has the verification record of another name and not its own."""

    lies = False

    def resolve(self, request: DNSRecord, handler: Any) -> DNSRecord:
        if not self.lies:
            return super().resolve(request, handler)
        reply = request.reply(ra=0)
        name, kind = request.q.qname, request.q.qtype
        if kind == QTYPE.TXT:
            reply.add_answer(RR(name, QTYPE.TXT, rdata=TXT(b"naver-works-verification=" + b"0" * 32), ttl=0))
        elif kind == QTYPE.CNAME:
            reply.add_answer(RR(name, QTYPE.CNAME, rdata=CNAME("verify.elsewhere.example"), ttl=0))
        return reply
