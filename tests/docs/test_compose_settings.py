"""docker-compose.yml passes to every process each setting that the process reads."""

import re

import pytest
import yaml
from support.markdown_pages import page, tables

from adapters.settings import CatalogueSettings, EncryptionSettings, Settings
from adapters.temporal.encryption_keys import Key
from adapters.worker_settings import WorkerSettings
from entrypoints.api.settings import ApiSettings
from entrypoints.codec_server.settings import CodecSettings
from entrypoints.settings import CliSettings, fields_by_variable

from .test_compose import REQUIRED, SERVICES, TEXT, VARIABLE, interpolated

_NAME = re.compile(r"DATABASE_URL|(WORKSUB|OTEL)_[A-Z_]+|TEMPORAL_(DEPLOYMENT|WORKER)_[A-Z_]+")

FIXED = {
    *("DATABASE_URL", "WORKSUB_API_ADDRESS", "WORKSUB_METRICS_ADDRESS", "WORKSUB_HEALTH_ADDRESS"),
    *("WORKSUB_CODEC_ADDRESS", "WORKSUB_API_METRICS_ADDRESS", "WORKSUB_CODEC_METRICS_ADDRESS"),
}
"""Listen addresses and database URLs, which are fixed in the compose file."""

EVERYWHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME"}
"""Read by adapters/temporal/client.py in every process that connects to Temporal."""

CLASSES: dict[str, tuple[type[Settings], ...]] = {
    "worker": (WorkerSettings,),
    "api": (ApiSettings,),
    "codec": (CodecSettings,),
    "setup": (CatalogueSettings, EncryptionSettings),
    "worksub": (CliSettings,),
}
"""The settings of each service."""


def read_by(service: str) -> set[str]:
    fields = [field for settings in CLASSES[service] for field in settings.model_fields.values()]
    # The codec server does not connect to Temporal.
    return {str(f.validation_alias) for f in fields} | (set() if service == "codec" else EVERYWHERE)


@pytest.mark.parametrize("service", CLASSES)
def test_service_receives_every_setting_it_reads(service: str) -> None:
    given = SERVICES[service]["environment"]
    assert {name for name in read_by(service) if _NAME.fullmatch(name)} <= given.keys()


@pytest.mark.parametrize("service", CLASSES)
def test_env_file_setting_reaches_the_service(service: str) -> None:
    settable = {name for name in SERVICES[service]["environment"] if _NAME.fullmatch(name)} - FIXED
    given = dict.fromkeys(REQUIRED, "4") | {name: f"/from/env/file/{name}" for name in settable}
    written = yaml.safe_load(interpolated(**given))["services"][service]
    mounts = dict(mount.split(":")[1::-1] for mount in written.get("volumes", []))
    arrived = {name: mounts.get(value, value) for name, value in written["environment"].items()}
    assert {name: arrived[name] for name in settable} == {name: given[name] for name in settable}


def test_every_setting_is_passed_from_the_env_file() -> None:
    passed = {match[1] for match in VARIABLE.finditer(TEXT)}
    settable = {name for name in fields_by_variable() if _NAME.fullmatch(name)} - FIXED
    of_libraries = set(tables(page("docs/configuration.md"))[1].column("variable")) - {"PGPASSWORD"}
    # Temporal's own variables select a server; the compose file runs one.
    assert settable | {name for name in of_libraries if not name.startswith("TEMPORAL_")} <= passed


@pytest.mark.parametrize("settings", [WorkerSettings, ApiSettings, CodecSettings])
def test_empty_setting_equals_unset(settings: type[Settings]) -> None:
    """`${NAME:-}` passes an empty string for a setting that the env file omits."""
    required = {
        "DATABASE_URL": "postgresql://worksub@localhost:5432/worksub",
        "WORKSUB_ENCRYPTION_KEYS": str(Key(bytes(32))),
        "WORKSUB_CODEC_ORIGIN": "https://temporal.example",
        "WORKSUB_CODEC_OIDC_ISSUER": "https://login.example",
        "WORKSUB_CODEC_OIDC_AUDIENCE": "codec",
        "WORKSUB_CODEC_OIDC_KEYS_URL": "https://login.example/keys",
    }
    empty = dict.fromkeys(fields_by_variable(), "")
    assert settings.load({**empty, **required}) == settings.load(required)
