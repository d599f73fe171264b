"""The embedded DNS server: published records, and failures on demand."""

from collections.abc import Iterator

import dns.asyncresolver
import dns.nameserver
import dns.resolver
import pytest

from dev_stack.dns_server import DnsServer


@pytest.fixture
def dns_server() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture
def resolver(dns_server: DnsServer) -> dns.asyncresolver.Resolver:
    host, port = dns_server.address.split(":")
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(host, int(port))]
    resolver.lifetime = 60
    return resolver


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_dns_server_returns_published_records(
    dns_server: DnsServer, resolver: dns.asyncresolver.Resolver, tcp: bool
) -> None:
    dns_server.publish_txt("_proof.acme.example", "first")
    dns_server.publish_txt("_PROOF.acme.example.", "second")
    dns_server.publish_cname("alias.acme.example", "_proof.acme.example")

    answer = await resolver.resolve("_proof.acme.example", "TXT", tcp=tcp)
    assert {str(record) for record in answer} == {'"first"', '"second"'}
    answer = await resolver.resolve("alias.acme.example", "CNAME", tcp=tcp)
    assert [str(record) for record in answer] == ["_proof.acme.example."]
    answer = await resolver.resolve("alias.acme.example", "TXT", tcp=tcp)
    assert {str(record) for record in answer} == {'"first"', '"second"'}


async def test_dns_distinguishes_unknown_name_from_missing_records(
    dns_server: DnsServer, resolver: dns.asyncresolver.Resolver
) -> None:
    dns_server.publish_txt("_proof.acme.example", "token")
    for name in ("_proof.acme.example", "acme.example"):
        with pytest.raises(dns.resolver.NoAnswer):
            await resolver.resolve(name, "A")
    with pytest.raises(dns.resolver.NXDOMAIN):
        await resolver.resolve("other.example", "TXT")

    dns_server.withdraw("_proof.acme.example")
    with pytest.raises(dns.resolver.NXDOMAIN):
        await resolver.resolve("_proof.acme.example", "TXT")
    dns_server.publish_txt("_proof.acme.example", "token")
    dns_server.clear()
    with pytest.raises(dns.resolver.NXDOMAIN):
        await resolver.resolve("_proof.acme.example", "TXT")


async def test_dns_fails_on_demand(dns_server: DnsServer, resolver: dns.asyncresolver.Resolver) -> None:
    dns_server.publish_txt("_proof.acme.example", "token")
    dns_server.answer_with = "servfail"
    with pytest.raises(dns.resolver.NoNameservers):
        await resolver.resolve("_proof.acme.example", "TXT")
    dns_server.answer_with = "timeout"
    with pytest.raises(dns.resolver.LifetimeTimeout):
        await resolver.resolve("_proof.acme.example", "TXT", lifetime=0.5)
    dns_server.answer_with = "normal"
    assert len(await resolver.resolve("_proof.acme.example", "TXT")) == 1
