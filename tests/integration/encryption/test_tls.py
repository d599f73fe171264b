"""TLS, client certificates and API keys, to Temporal and to PostgreSQL, with certificates made here."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from support.cli_runner import Cli
from support.service_env import ServiceEnv
from support.tls_proxy import front, postgres_front, written_file

from adapters.postgres.pool import CONNECT_ERRORS, DatabaseError, create_pool, redacted_location
from adapters.temporal.client import ConnectionSettingsError, TemporalUnavailableError, connect
from adapters.temporal.encryption_keys import Keyring
from dev_stack.stack import EmbeddedStack

API_KEY = "an api key that nobody may read"
LONG_AGO = datetime.now(UTC) - timedelta(days=2)


class Certificates(NamedTuple):
    """Certificate authorities and certificates. `settings` are those of a client with a certificate."""

    authority: trustme.CA
    directory: Path

    @property
    def authority_file(self) -> str:
        return written_file(self.directory / "ca.pem", self.authority.cert_pem.bytes())

    def client(self, authority: trustme.CA | None = None, name: str = "worksub") -> dict[str, str]:
        """Return files with the client's certificate and key, by PostgreSQL's parameter names."""
        issued = (authority or self.authority).issue_cert(f"{name}@example.com", common_name=name)
        place = self.directory / f"{name}-{'ours' if authority is None else 'theirs'}"
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        return {
            "sslcert": written_file(place.with_suffix(".pem"), chain),
            "sslkey": written_file(place.with_suffix(".key"), issued.private_key_pem.bytes()),
        }

    def server_context(self, host: str = "localhost", *, not_after: datetime | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert(host, not_after=not_after).configure_cert(context)
        return context

    def requiring_client_certificate(self) -> ssl.SSLContext:
        context = self.server_context()
        context.verify_mode = ssl.CERT_REQUIRED
        self.authority.configure_trust(context)
        return context

    @property
    def to_temporal(self) -> dict[str, str]:
        return {"TEMPORAL_TLS": "true", "TEMPORAL_TLS_SERVER_CA_CERT_PATH": self.authority_file}

    def mtls(self, files: dict[str, str]) -> dict[str, str]:
        return {
            **self.to_temporal,
            "TEMPORAL_TLS_CLIENT_CERT_PATH": files["sslcert"],
            "TEMPORAL_TLS_CLIENT_KEY_PATH": files["sslkey"],
        }


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(trustme.CA(), tmp_path)


@pytest.fixture
def tls_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "type[TlsClient]":
    TlsClient.monkeypatch = monkeypatch
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    return TlsClient


class TlsClient:
    """A client with these settings, and the error messages that it gets."""

    monkeypatch: pytest.MonkeyPatch

    @classmethod
    async def connects(cls, address: str, settings: dict[str, str]) -> None:
        with cls.monkeypatch.context() as environment:
            for name, value in {"TEMPORAL_ADDRESS": address, **settings}.items():
                environment.setenv(name, value)
            client = await connect(Keyring())
            assert await client.service_client.check_health()

    @classmethod
    async def refused(cls, address: str, settings: dict[str, str]) -> str:
        with pytest.raises((ConnectionSettingsError, TemporalUnavailableError)) as error:
            await cls.connects(address, settings)
        assert API_KEY not in str(error.value)
        assert "PRIVATE KEY" not in str(error.value)
        return str(error.value)


async def test_temporal_over_tls(
    stack: EmbeddedStack, certificates: Certificates, tls_client: type[TlsClient]
) -> None:
    behind = stack.addresses.temporal_address
    async with front(behind, certificates.server_context()) as address:
        await tls_client.connects(address, certificates.to_temporal)
        assert "TEMPORAL_TLS" in await tls_client.refused(address, {})
        stranger = written_file(certificates.directory / "stranger.pem", trustme.CA().cert_pem.bytes())
        message = await tls_client.refused(
            address, {**certificates.to_temporal, "TEMPORAL_TLS_SERVER_CA_CERT_PATH": stranger}
        )
        assert "TEMPORAL_TLS_SERVER_CA_CERT_PATH" in message
    async with front(behind, certificates.server_context("other.example")) as address:
        assert "TEMPORAL_TLS_SERVER_NAME" in await tls_client.refused(address, certificates.to_temporal)
        named = {**certificates.to_temporal, "TEMPORAL_TLS_SERVER_NAME": "other.example"}
        await tls_client.connects(address, named)
    async with front(behind, certificates.server_context(not_after=LONG_AGO)) as address:
        assert "untrusted certificate" in await tls_client.refused(address, certificates.to_temporal)
    assert "does not support TLS" in await tls_client.refused(behind, certificates.to_temporal)


async def test_temporal_with_client_certificates(
    stack: EmbeddedStack, certificates: Certificates, tls_client: type[TlsClient]
) -> None:
    async with front(
        stack.addresses.temporal_address, certificates.requiring_client_certificate()
    ) as address:
        ours, theirs = certificates.client(), certificates.client(trustme.CA())
        await tls_client.connects(address, certificates.mtls(ours))
        assert "TEMPORAL_TLS_CLIENT_CERT_PATH" in await tls_client.refused(address, certificates.to_temporal)
        assert "TEMPORAL_TLS_CLIENT_CERT_PATH" in await tls_client.refused(address, certificates.mtls(theirs))
        mixed = certificates.mtls({"sslcert": ours["sslcert"], "sslkey": theirs["sslkey"]})
        assert "TEMPORAL_TLS_CLIENT_CERT_PATH" in await tls_client.refused(address, mixed)
        missing = certificates.mtls({"sslcert": ours["sslcert"], "sslkey": "/no/such.key"})
        assert "No such file" in await tls_client.refused(address, missing)


async def test_temporal_with_an_api_key(
    stack: EmbeddedStack, certificates: Certificates, tls_client: type[TlsClient]
) -> None:
    async with front(stack.addresses.temporal_address, certificates.server_context(), API_KEY) as address:
        trusting = {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": certificates.authority_file}
        await tls_client.connects(address, {**trusting, "TEMPORAL_API_KEY": API_KEY})
        for key in ({"TEMPORAL_API_KEY": f"not {API_KEY}"}, {"TEMPORAL_TLS": "true"}):
            assert "TEMPORAL_API_KEY" in await tls_client.refused(address, {**trusting, **key})


async def test_command_over_tls_works_or_exits_with_3(
    stack: EmbeddedStack, service_env: ServiceEnv, certificates: Certificates, tmp_path: Path
) -> None:
    async with front(stack.addresses.temporal_address, certificates.server_context(), API_KEY) as address:
        settings = {
            "DATABASE_URL": service_env.database_url,
            "TEMPORAL_ADDRESS": address,
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH": certificates.authority_file,
            "TEMPORAL_API_KEY": API_KEY,
        }
        assert len(await Cli(settings, tmp_path).json("schedules", "list")) == 4
        wrong = await Cli({**settings, "TEMPORAL_API_KEY": f"not {API_KEY}"}, tmp_path).run(
            "schedules", "list", "--json"
        )
        assert (wrong.code, wrong.error["code"]) == (3, "TEMPORAL_UNREACHABLE")
        assert "TEMPORAL_API_KEY" in wrong.error["message"]
        assert API_KEY not in wrong.out + wrong.err


# -- PostgreSQL, whose embedded build speaks no TLS itself ------------------------------------------------


def url_of(service_env: ServiceEnv, certificates: Certificates, address: str, **parameters: str) -> str:
    """Return the URL of the environment's database with the strictest TLS mode, through a proxy."""
    sent = {"sslmode": "verify-full", "sslrootcert": certificates.authority_file, **parameters}
    words = "&".join(f"{name}={value}" for name, value in sent.items())
    login, _, place = service_env.database_url.rpartition("@")
    return f"{login}@{address}/{place.partition('/')[2]}?{words}"


async def connects_to(url: str) -> None:
    async with create_pool(url, "worksub_reader", connections=1) as pool:
        assert await pool.fetchval("SELECT current_user") == "worksub_reader"


async def error_of(url: str) -> str:
    with pytest.raises(DatabaseError) as refused:
        await connects_to(url)
    assert "PRIVATE KEY" not in str(refused.value)
    assert url.split("@")[0].rpartition(":")[2] not in str(refused.value), "the password"
    return str(refused.value)


async def test_postgresql_over_tls(service_env: ServiceEnv, certificates: Certificates) -> None:
    behind = redacted_location(service_env.database_url).partition("/")[0]
    async with postgres_front(behind, certificates.server_context()) as address:
        await connects_to(url_of(service_env, certificates, address))
        stranger = written_file(certificates.directory / "stranger.pem", trustme.CA().cert_pem.bytes())
        assert "sslrootcert" in await error_of(
            url_of(service_env, certificates, address, sslrootcert=stranger)
        )
        missing = await error_of(url_of(service_env, certificates, address, sslrootcert="/no/such.pem"))
        assert "/no/such.pem" in missing
    async with postgres_front(behind, certificates.server_context("other.example")) as address:
        assert "host name" in await error_of(url_of(service_env, certificates, address))
    async with postgres_front(behind, certificates.server_context(not_after=LONG_AGO)) as address:
        assert "expired" in await error_of(url_of(service_env, certificates, address))
    assert "sslmode" in await error_of(url_of(service_env, certificates, behind))


async def test_postgresql_with_client_certificates(
    service_env: ServiceEnv, certificates: Certificates
) -> None:
    behind = redacted_location(service_env.database_url).partition("/")[0]
    ours, theirs = certificates.client(), certificates.client(trustme.CA())
    async with postgres_front(behind, certificates.requiring_client_certificate()) as address:
        await connects_to(url_of(service_env, certificates, address, **ours))
        for refused in ({}, theirs):
            # The order of the TLS alert and the end of the connection is random.
            with pytest.raises((DatabaseError, *CONNECT_ERRORS)):
                await connects_to(url_of(service_env, certificates, address, **refused))
        mixed = {**ours, "sslkey": theirs["sslkey"]}
        assert "sslkey" in await error_of(url_of(service_env, certificates, address, **mixed))
        missing = {**ours, "sslkey": "/no/such.key"}
        assert "sslkey" in await error_of(url_of(service_env, certificates, address, **missing))


async def test_wrong_database_certificate_exits_with_3(
    stack: EmbeddedStack, service_env: ServiceEnv, certificates: Certificates, tmp_path: Path
) -> None:
    behind = redacted_location(service_env.database_url).partition("/")[0]
    async with postgres_front(behind, certificates.server_context("other.example")) as address:
        settings = {
            "DATABASE_URL": url_of(service_env, certificates, address),
            "TEMPORAL_ADDRESS": stack.addresses.temporal_address,
        }
        wrong = await Cli(settings, tmp_path).run("list", "--json")
        assert (wrong.code, wrong.error["code"]) == (3, "DATABASE_NOT_USABLE")
        assert "host name" in wrong.error["message"]
