"""Console settings from the environment, and error messages for invalid ones."""

import pytest

from adapters.settings_error import SettingsError
from entrypoints.api.settings import ApiSettings
from entrypoints.console.settings import ConsoleSettings

ISSUER = {
    "WORKSUB_OIDC_ISSUER": "https://login.example/",
    "WORKSUB_OIDC_CLIENT_ID": "console",
    "WORKSUB_OIDC_CLIENT_SECRET": "secret",
}


def console_settings(environment: dict[str, str]) -> ConsoleSettings:
    return ApiSettings.load({"DATABASE_URL": "postgresql://localhost/worksub", **environment}).console


def test_default_settings_disable_sign_in() -> None:
    settings = console_settings({})
    assert settings.url == "http://localhost:8080"
    assert settings.oidc is None
    assert not settings.developer_sign_in
    assert not settings.secure


def test_issuer_settings_are_read() -> None:
    settings = console_settings(
        {**ISSUER, "WORKSUB_CONSOLE_URL": "https://console.example/", "WORKSUB_OIDC_OPERATOR_GROUP": "ops"},
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
        console_settings({"WORKSUB_CONSOLE_URL": url})


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
    settings = console_settings({"WORKSUB_CONSOLE_URL": url})
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
        console_settings({**ISSUER, "WORKSUB_OIDC_ISSUER": issuer})


@pytest.mark.parametrize("missing", ["WORKSUB_OIDC_CLIENT_ID", "WORKSUB_OIDC_CLIENT_SECRET"])
def test_issuer_without_client_id_is_refused(missing: str) -> None:
    with pytest.raises(SettingsError, match="WORKSUB_OIDC_ISSUER requires"):
        console_settings({name: value for name, value in ISSUER.items() if name != missing})


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "10.0.0.7", "192.168.1.20", "[::ffff:10.0.0.7]"])
def test_developer_sign_in_requires_loopback_address(host: str) -> None:
    developer = {"WORKSUB_CONSOLE_SIGN_IN": "developer"}
    with pytest.raises(SettingsError, match="it must be a loopback address") as refused:
        console_settings({**developer, "WORKSUB_API_ADDRESS": f"{host}:8080"})
    assert str(refused.value).startswith("WORKSUB_API_ADDRESS is")
    for loopback in ("127.0.0.1:8080", "127.0.0.53:80", "[::1]:8080"):
        assert console_settings({**developer, "WORKSUB_API_ADDRESS": loopback}).developer_sign_in


def test_developer_sign_in_requires_local_url() -> None:
    settings = {"WORKSUB_CONSOLE_SIGN_IN": "developer", "WORKSUB_CONSOLE_URL": "https://console.example"}
    with pytest.raises(SettingsError, match="WORKSUB_CONSOLE_URL must be on localhost or"):
        console_settings(settings)


def test_console_and_api_settings_are_reported_together() -> None:
    wrong = {"WORKSUB_API_RATE_LIMIT": "many", "WORKSUB_CONSOLE_URL": "x", "WORKSUB_OIDC_SCOPE": "profile"}
    with pytest.raises(SettingsError) as error:
        ApiSettings.load({**ISSUER, **wrong})
    reported = {line.split()[0] for line in str(error.value).splitlines()}
    assert reported == {"DATABASE_URL", *wrong}


def test_developer_console_accepts_both_loopback_names() -> None:
    settings = console_settings({"WORKSUB_CONSOLE_SIGN_IN": "developer"})
    assert settings.origins == ("http://localhost:8080", "http://127.0.0.1:8080")
