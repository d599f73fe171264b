"""What the console takes from its environment, and what it refuses with a sentence."""

import pytest

from activities.settings import SettingsError
from starter.console.settings import console_settings

ISSUER = {
    "WORKSUB_OIDC_ISSUER": "https://login.example/",
    "WORKSUB_OIDC_CLIENT_ID": "console",
    "WORKSUB_OIDC_CLIENT_SECRET": "secret",
}


def test_without_anything_nobody_signs_in() -> None:
    settings = console_settings({})
    assert settings.url == "http://localhost:8080"
    assert settings.oidc is None
    assert not settings.embedded
    assert not settings.secure


def test_an_issuer_and_its_claims() -> None:
    settings = console_settings(
        {**ISSUER, "WORKSUB_CONSOLE_URL": "https://console.example/", "WORKSUB_OIDC_OPERATOR_GROUP": "ops"}
    )
    assert settings.secure
    assert settings.origin == "https://console.example"
    assert settings.oidc is not None
    assert settings.oidc.issuer == "https://login.example"
    assert (settings.oidc.customer_claim, settings.oidc.operator_claim) == ("customer_id", "groups")
    assert settings.oidc.operator_group == "ops"


@pytest.mark.parametrize("url", ["console.example", "ftp://console.example", "https://console.example/path"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="WORKSUB_CONSOLE_URL"):
        console_settings({"WORKSUB_CONSOLE_URL": url})


@pytest.mark.parametrize("missing", ["WORKSUB_OIDC_CLIENT_ID", "WORKSUB_OIDC_CLIENT_SECRET"])
def test_an_issuer_without_a_client_is_refused(missing: str) -> None:
    with pytest.raises(SettingsError, match="must be set too"):
        console_settings({name: value for name, value in ISSUER.items() if name != missing})
