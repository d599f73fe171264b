"""Worker settings: invalid values are refused with an example of a valid one."""

import pytest

from adapters.observability.logging import LogFormat
from adapters.settings import HostPort
from adapters.settings_error import SettingsError
from adapters.worker_settings import WorkerSettings

DATABASE = {"DATABASE_URL": "postgresql://worksub@localhost/worksub"}


def test_unset_settings_are_disabled() -> None:
    settings = WorkerSettings.load({**DATABASE, "WORKSUB_METRICS_ADDRESS": "", "WORKSUB_LOG_FORMAT": ""})
    assert (settings.metrics_address, settings.health_address) == (None, None)
    assert (settings.log_format, settings.log_levels) == (LogFormat.TEXT, {})
    assert settings.dns_resolvers == ()
    assert settings.cached_workflows == 1000


@pytest.mark.parametrize("text", ["127.0.0.1:9464", "0.0.0.0:1", "[::1]:65535"])
def test_an_address_to_listen_at_is_an_ip_address_and_a_port(text: str) -> None:
    settings = WorkerSettings.load({**DATABASE, "WORKSUB_HEALTH_ADDRESS": text})
    assert str(settings.health_address) == text


@pytest.mark.parametrize(
    "text",
    ["9464", ":9464", "localhost:9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "::1:x"],
)
@pytest.mark.parametrize("name", ["WORKSUB_METRICS_ADDRESS", "WORKSUB_HEALTH_ADDRESS"])
def test_invalid_setting_is_refused_with_an_example(name: str, text: str) -> None:
    with pytest.raises(
        SettingsError, match=rf"{name} is '{text}', which is not an IP .*\. Example: 127\.0\.0\.1:"
    ):
        WorkerSettings.load({**DATABASE, name: text})


def test_log_levels_are_set_per_module() -> None:
    settings = WorkerSettings.load(
        {**DATABASE, "WORKSUB_LOG_LEVELS": "activities=ERROR, adapters.email=DEBUG"}
    )
    assert settings.log_levels == {"activities": "ERROR", "adapters.email": "DEBUG"}


@pytest.mark.parametrize("text", ["ERROR", "activities", "activities=LOUD", "=INFO", "activities=INFO,"])
def test_invalid_log_level_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match=r"WORKSUB_LOG_LEVELS contains '.*DEBUG.*\. Example: entrypoints"):
        WorkerSettings.load({**DATABASE, "WORKSUB_LOG_LEVELS": text})


def test_a_resolver_may_leave_its_port_out() -> None:
    parsed = [HostPort.parse(text, default_port="53") for text in ("1.1.1.1", "::1", "[::1]:5353")]
    assert parsed == [("1.1.1.1", 53), ("::1", 53), ("::1", 5353)]


def test_a_worker_may_keep_no_workflow_in_memory() -> None:
    assert WorkerSettings.load({**DATABASE, "WORKSUB_CACHED_WORKFLOWS": "0"}).cached_workflows == 0


@pytest.mark.parametrize("text", ["-1", "many", "1.5", "²"])
def test_a_number_of_workflows_is_a_whole_number(text: str) -> None:
    with pytest.raises(SettingsError, match=rf"WORKSUB_CACHED_WORKFLOWS is '{text}': input should be"):
        WorkerSettings.load({**DATABASE, "WORKSUB_CACHED_WORKFLOWS": text})


def test_all_invalid_settings_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        WorkerSettings.load(
            {
                "WORKSUB_CATALOGUE": "/nowhere.toml",
                "WORKSUB_ENCRYPTION_KEYS": "no key",
                "WORKSUB_SMTP_FROM": "nobody",
                "WORKSUB_SMTP_URL": "mail.acme.example",
                "WORKSUB_WEBHOOK_TARGETS": "all",
                "WORKSUB_DNS_RESOLVERS": "1.1.1.1,resolver",
                "WORKSUB_METRICS_ADDRESS": "9464",
                "WORKSUB_CACHED_WORKFLOWS": "many",
                "WORKSUB_LOG_FORMAT": "xml",
                "TEMPORAL_ADDRESS": "localhost",
                "TEMPORAL_TLS": "maybe",
                "TEMPORAL_CONFIG_FILE": "/nowhere.toml",
                "TEMPORAL_WORKER_BUILD_ID": "0.1.0",
            }
        )
    assert sorted(str(error.value).splitlines()) == [
        "DATABASE_URL is not set. Example: postgresql://worksub@localhost:5432/worksub",
        "TEMPORAL_ADDRESS is 'localhost'; it must be a host and a port. Example: localhost:7233",
        "TEMPORAL_CONFIG_FILE is /nowhere.toml, which does not exist.",
        "TEMPORAL_DEPLOYMENT_NAME is not set, but TEMPORAL_WORKER_BUILD_ID is; set both or neither. "
        "Example: worksub",
        "TEMPORAL_TLS is 'maybe'; it must be true or false.",
        "WORKSUB_CACHED_WORKFLOWS is 'many': input should be a valid integer, unable to parse string as an "
        "integer.",
        "WORKSUB_CATALOGUE: The catalogue /nowhere.toml cannot be read: "
        "[Errno 2] No such file or directory: '/nowhere.toml'.",
        "WORKSUB_DNS_RESOLVERS contains 'resolver', which is not an IP address, with or without a port. "
        "Example: 1.1.1.1,127.0.0.1:5353",
        "WORKSUB_ENCRYPTION_KEYS: key 1 is not a key, which is 32 bytes in base64; "
        "`worksub codec generate-key` creates one.",
        "WORKSUB_LOG_FORMAT is 'xml': input should be 'text' or 'json'.",
        "WORKSUB_METRICS_ADDRESS is '9464', which is not an IP address and a port. Example: 127.0.0.1:9464",
        "WORKSUB_SMTP_FROM must be exactly one sender address. Example: NAVER WORKS <notices@works.example>",
        "WORKSUB_SMTP_URL is not the URL of a mail server. Example: smtp://user@mail.acme.example:587",
        "WORKSUB_WEBHOOK_TARGETS is 'all': input should be 'public' or 'any'.",
    ]


def test_settings_ignore_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSUB_CACHED_WORKFLOWS", "17")
    assert WorkerSettings.load(DATABASE).cached_workflows == 1000


def test_secrets_are_neither_reported_nor_shown() -> None:
    secrets = {
        "DATABASE_URL": "postgresql://worksub:secret@localhost/worksub",  # pragma: allowlist secret
        "WORKSUB_SMTP_URL": "smtp://user@localhost",
        "WORKSUB_SMTP_PASSWORD": "secret",
        "WORKSUB_SMTP_FROM": "notices@works.example",
    }
    assert "secret" not in repr(WorkerSettings.load(secrets))
    wrong = {
        "DATABASE_URL": "mysql://worksub:secret@localhost",  # pragma: allowlist secret
        "WORKSUB_ENCRYPTION_KEYS": "secret",
        "WORKSUB_SMTP_URL": "smtp://user:secret@localhost",  # pragma: allowlist secret
    }
    with pytest.raises(SettingsError) as error:
        WorkerSettings.load({**secrets, **wrong})
    assert len(str(error.value).splitlines()) == 3
    assert "secret" not in str(error.value)
