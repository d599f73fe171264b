"""Worker settings: invalid values are refused with an example of a valid one."""

import pytest

from adapters.observability.logging import LogFormat
from adapters.settings import HostPort, SettingsError, load_worker_settings

DATABASE = {"DATABASE_URL": "postgresql://worksub@localhost/worksub"}


def test_unset_settings_are_disabled() -> None:
    settings = load_worker_settings({**DATABASE, "WORKSUB_METRICS_ADDRESS": "", "WORKSUB_LOG_FORMAT": ""})
    assert (settings.metrics_address, settings.health_address) == (None, None)
    assert settings.log_format is LogFormat.TEXT
    assert settings.dns_resolvers == ()
    assert settings.cached_workflows == 1000


@pytest.mark.parametrize("text", ["127.0.0.1:9464", "0.0.0.0:1", "[::1]:65535"])
def test_an_address_to_listen_at_is_an_ip_address_and_a_port(text: str) -> None:
    settings = load_worker_settings({**DATABASE, "WORKSUB_HEALTH_ADDRESS": text})
    assert str(settings.health_address) == text


@pytest.mark.parametrize(
    "text",
    ["9464", ":9464", "localhost:9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "::1:x"],
)
@pytest.mark.parametrize("name", ["WORKSUB_METRICS_ADDRESS", "WORKSUB_HEALTH_ADDRESS"])
def test_invalid_setting_is_refused_with_an_example(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name} is '{text}', which is not .* as in 127\.0\.0\.1:"):
        load_worker_settings({**DATABASE, name: text})


def test_a_resolver_may_leave_its_port_out() -> None:
    usual = [HostPort.read(text, usual_port="53") for text in ("1.1.1.1", "::1", "[::1]:5353")]
    assert usual == [("1.1.1.1", 53), ("::1", 53), ("::1", 5353)]


def test_a_worker_may_keep_no_workflow_in_memory() -> None:
    assert load_worker_settings({**DATABASE, "WORKSUB_CACHED_WORKFLOWS": "0"}).cached_workflows == 0


@pytest.mark.parametrize("text", ["-1", "many", "1.5", "²"])
def test_a_number_of_workflows_is_a_whole_number(text: str) -> None:
    with pytest.raises(
        SettingsError, match=rf"WORKSUB_CACHED_WORKFLOWS is '{text}'; it must be a whole number"
    ):
        load_worker_settings({**DATABASE, "WORKSUB_CACHED_WORKFLOWS": text})
