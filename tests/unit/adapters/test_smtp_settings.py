"""Mail server settings, and the one-sentence error messages for invalid ones."""

import pytest

from adapters.email.settings import MailServer, SmtpSettings
from adapters.settings_error import SettingsError

FROM = {"WORKSUB_SMTP_FROM": "NAVER WORKS <notices@works.example>"}
SECRET = "do not show"


def server(url: str, **settings: str) -> MailServer:
    parsed = SmtpSettings.load({"WORKSUB_SMTP_URL": url, **FROM, **settings}).mail_server
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("smtp://mail.acme.example", "mail.acme.example", 587, False),
        ("smtp://mail.acme.example:25/", "mail.acme.example", 25, False),
        ("smtps://mail.acme.example", "mail.acme.example", 465, True),
        ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, False),
        ("smtp://[::1]:2525", "::1", 2525, False),
    ],
)
def test_smtp_url_is_parsed(url: str, host: str, port: int, tls: bool) -> None:
    parsed = server(url)
    assert (parsed.host, parsed.port, parsed.tls) == (host, port, tls)
    assert (parsed.user, parsed.password) == (None, None)
    assert (parsed.sender.display_name, parsed.sender.addr_spec) == ("NAVER WORKS", "notices@works.example")


@pytest.mark.parametrize("user", ["worksub", "notices@works.example", "notices%40works.example"])
def test_smtp_user_requires_a_password_never_shown(user: str) -> None:
    parsed = server(f"smtp://{user}@mail.acme.example", WORKSUB_SMTP_PASSWORD=SECRET)
    assert (parsed.user, parsed.password) == (user.replace("%40", "@"), SECRET)
    assert SECRET not in repr(parsed)


@pytest.mark.parametrize("environment", [{}, {"WORKSUB_SMTP_URL": "", "WORKSUB_SMTP_FROM": ""}])
def test_missing_url_disables_smtp(environment: dict[str, str]) -> None:
    assert SmtpSettings.load(environment).mail_server is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        *(
            ({"WORKSUB_SMTP_URL": url, **FROM}, "WORKSUB_SMTP_URL is not the URL of a mail server")
            for url in (
                "mail.acme.example",
                "mail.acme.example:587",
                "http://mail.acme.example",
                "smtp://",
                "smtp://:587",
                "smtp://mail.acme.example:smtp",
                "smtp://mail.acme.example:0",
                "smtp://mail.acme.example:70000",
                "smtp://mail.acme.example/inbox",
                "smtp://mail.acme.example?tls=no",
                "smtp://mail acme.example",
                "smtp://[::1",
            )
        ),
        (
            {"WORKSUB_SMTP_URL": f"smtp://worksub:{SECRET}@mail.acme.example", **FROM},
            "WORKSUB_SMTP_URL must not contain a password",
        ),
        (
            {"WORKSUB_SMTP_URL": "smtp://worksub@mail.acme.example", **FROM},
            "WORKSUB_SMTP_URL names a user, so WORKSUB_SMTP_PASSWORD must be set",
        ),
        (
            {"WORKSUB_SMTP_URL": "smtp://mail.acme.example", "WORKSUB_SMTP_PASSWORD": SECRET, **FROM},
            "WORKSUB_SMTP_URL must name the user, because WORKSUB_SMTP_PASSWORD is set",
        ),
        (FROM, "WORKSUB_SMTP_URL is not set, but WORKSUB_SMTP_FROM is"),
        ({"WORKSUB_SMTP_PASSWORD": SECRET}, "WORKSUB_SMTP_URL is not set, but WORKSUB_SMTP_PASSWORD is"),
        ({"WORKSUB_SMTP_URL": "smtp://mail.acme.example"}, "requires WORKSUB_SMTP_FROM"),
        *(
            (
                {"WORKSUB_SMTP_URL": "smtp://mail.acme.example", "WORKSUB_SMTP_FROM": sender},
                "WORKSUB_SMTP_FROM must be exactly one sender address",
            )
            for sender in (
                "notices",
                "@works.example",
                "NAVER WORKS",
                "NAVER WORKS <notices>",
                "a@works.example, b@works.example",
                "a@works.example b",
                "notices@네이버.example",
                "notices@works.example\r\nBcc: all@works.example",
                "notices@works.example\n",
            )
        ),
    ],
)
def test_invalid_setting_is_reported_in_one_sentence(settings: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError) as error:
        SmtpSettings.load(settings)
    message = str(error.value)
    assert named in message
    assert ". Example: " in message
    assert "\n" not in message
    assert SECRET not in message
