"""Activity that checks pending domains: verification records in DNS, and earlier verifications (R12, R13)."""

import asyncio
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.resolver
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT
from temporalio import activity

from adapters.postgres.account_name_repository import lost_domains
from adapters.postgres.pool import Pool
from adapters.settings import HostPort
from subscription.activity_contracts import DomainCheckInput, DomainCheckResult
from subscription.domain_verification import VerificationRecords, verification_records

_LOOKUP_TIMEOUT_SECONDS = 5.0


class DomainVerificationActivities:
    """`resolvers` are addresses such as `127.0.0.1:5353` or `1.1.1.1`; default: the system's resolvers."""

    def __init__(self, pool: Pool, resolvers: Sequence[str] = ()) -> None:
        self._pool = pool
        self._resolver = dns.asyncresolver.Resolver(configure=not resolvers)
        if resolvers:
            self._resolver.nameservers = [_nameserver(address) for address in resolvers]
        self._resolver.lifetime = _LOOKUP_TIMEOUT_SECONDS

    @activity.defn
    async def check_domain_records(self, input: DomainCheckInput) -> DomainCheckResult:
        lost = await lost_domains(self._pool, input.subscription_id, list(input.tokens))
        records = [
            verification_records(domain, token, input.cname_target)
            for domain, token in input.tokens.items()
            if domain not in lost
        ]
        results = await asyncio.gather(*(self._is_published(expected) for expected in records))
        return DomainCheckResult(
            verified=tuple(
                expected.domain for expected, published in zip(records, results, strict=True) if published
            ),
            lost=lost,
        )

    async def _is_published(self, expected: VerificationRecords) -> bool:
        txt, cname, mx = await asyncio.gather(
            self._records(expected.txt_name, "TXT"),
            self._records(expected.cname_name, "CNAME"),
            self._records(expected.mx_name, "MX"),
        )
        target, exchange = map(dns.name.from_text, (expected.cname_target, expected.mx_exchange))
        return (
            any(
                isinstance(record, TXT) and b"".join(record.strings) == expected.txt_value.encode()
                for record in txt
            )
            or any(isinstance(record, CNAME) and record.target == target for record in cname)
            or any(isinstance(record, MX) and record.exchange == exchange for record in mx)
        )

    async def _records(self, name: str, kind: str) -> list[dns.rdata.Rdata]:
        try:
            return list(await self._resolver.resolve(name, kind, search=False))
        except (dns.exception.DNSException, OSError):
            # A failure, a timeout or an unknown name means "not verified yet", never an error (R13).
            return []


def _nameserver(address: str) -> dns.nameserver.Nameserver:
    host, port = HostPort.parse(address, default_port="53")
    return dns.nameserver.Do53Nameserver(host, port)
