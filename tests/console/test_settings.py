"""Console settings from the environment, and error messages for invalid ones."""

import pytest

from adapters.settings import HostPort, SettingsError
from entrypoints.console.settings import console_settings

ISSUER = {
    "WORKSUB_OIDC_ISSUER": "https://login.example/",
    "WORKSUB_OIDC_CLIENT_ID": "console",
    "WORKSUB_OIDC_CLIENT_SECRET": "secret",
}

LOOPBACK, EVERYWHERE = HostPort("127.0.0.1", 8080), HostPort("0.0.0.0", 8080)


def test_default_settings_disable_sign_in() -> None:
    settings = console_settings({}, LOOPBACK)
    assert settings.url == "http://localhost:8080"
    assert settings.oidc is None
    assert not settings.embedded
    assert not settings.secure


def test_issuer_settings_are_read() -> None:
    settings = console_settings(
        {**ISSUER, "WORKSUB_CONSOLE_URL": "https://console.example/", "WORKSUB_OIDC_OPERATOR_GROUP": "ops"},
        EVERYWHERE,
    )
    assert settings.secure
    assert (settings.origins, settings.hosts) == (("https://console.example",), ("console.example",))
    assert settings.oidc is not None
    assert settings.oidc.issuer == "https://login.example"
    assert (settings.oidc.customer_claim, settings.oidc.operator_claim) == ("customer_id", "groups")
    assert settings.oidc.operator_group == "ops"


@pytest.mark.parametrize(
    "url",
    [
        "console.example",
        "ftp://console.example",
        "https://console.example/path",
        "https://user@console.example",
        "http://a:99999",
        "http://[::1",
        "https://console.example#part",
        "https://console.example?",
        "https://@console.example",
        "https://con sole.example",
        "https://console.example\n",
        "https://konsole.exämple",
        "//console.example",
    ],
)
def test_invalid_console_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="WORKSUB_CONSOLE_URL"):
        console_settings({"WORKSUB_CONSOLE_URL": url}, LOOPBACK)


@pytest.mark.parametrize(
    ("url", "host", "origin"),
    [
        ("https://console.example:443", "console.example", "https://console.example"),
        ("https://Console.Example:8443", "console.example", "https://console.example:8443"),
        ("http://[::1]:8080", "[::1]", "http://[::1]:8080"),
        ("https://xn--exmple-cua.example", "xn--exmple-cua.example", "https://xn--exmple-cua.example"),
    ],
)
def test_origin_is_normalized_as_in_browsers(url: str, host: str, origin: str) -> None:
    settings = console_settings({"WORKSUB_CONSOLE_URL": url}, LOOPBACK)
    assert (settings.hosts, settings.origins) == ((host,), (origin,))


@pytest.mark.parametrize(
    "issuer",
    [
        "login.example",
        "ftp://login.example",
        "https://",
        "https://login.example/.well-known/openid-configuration",
        "https://login.example?tenant=1",
        "https://login.example/a b",
    ],
)
def test_invalid_issuer_url_is_refused(issuer: str) -> None:
    with pytest.raises(SettingsError, match="WORKSUB_OIDC_ISSUER is"):
        console_settings({**ISSUER, "WORKSUB_OIDC_ISSUER": issuer}, LOOPBACK)


@pytest.mark.parametrize("missing", ["WORKSUB_OIDC_CLIENT_ID", "WORKSUB_OIDC_CLIENT_SECRET"])
def test_issuer_without_client_id_is_refused(missing: str) -> None:
    with pytest.raises(SettingsError, match="must be set too"):
        console_settings({name: value for name, value in ISSUER.items() if name != missing}, LOOPBACK)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "192.168.1.20", "::ffff:10.0.0.7"])
def test_developer_sign_in_requires_loopback_address(host: str) -> None:
    developer = {"WORKSUB_CONSOLE_SIGN_IN": "developer"}
    with pytest.raises(SettingsError, match="WORKSUB_API_ADDRESS must be a loopback address") as refused:
        console_settings(developer, HostPort(host, 8080))
    assert "WORKSUB_CONSOLE_SIGN_IN" in str(refused.value)
    for loopback in (LOOPBACK, HostPort("127.0.0.53", 80), HostPort("::1", 8080)):
        assert console_settings(developer, loopback).embedded


def test_developer_console_accepts_both_loopback_names() -> None:
    settings = console_settings({"WORKSUB_CONSOLE_SIGN_IN": "developer"}, LOOPBACK)
    assert settings.origins == ("http://localhost:8080", "http://127.0.0.1:8080")
