"""docker-compose.yml passes to every process each setting that the process reads."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.markdown_pages import ROOT, page, tables

from adapters.settings import load_worker_settings
from adapters.temporal.encryption_keys import KEYS_FILE, Key, keyring_from
from entrypoints.api.settings import api_settings_from
from entrypoints.codec_server.operator_tokens import token_line
from entrypoints.codec_server.settings import codec_settings_from

from .test_compose import REQUIRED, SERVICES, TEXT, VARIABLE, interpolated

_NAME = re.compile(r"DATABASE_URL|(WORKSUB|OTEL)_[A-Z_]+|TEMPORAL_(DEPLOYMENT|WORKER)_[A-Z_]+")

FIXED = {
    *("DATABASE_URL", "WORKSUB_API_ADDRESS", "WORKSUB_METRICS_ADDRESS", "WORKSUB_HEALTH_ADDRESS"),
    *("WORKSUB_CODEC_ADDRESS", "WORKSUB_API_METRICS_ADDRESS", "WORKSUB_CODEC_METRICS_ADDRESS"),
}
"""Listen addresses and database URLs, which are fixed in the compose file."""

OF_LIBRARIES = {"PGPASSWORD", "FORWARDED_ALLOW_IPS"}
"""Read by libpq and uvicorn."""

EVERYWHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME"}
"""Read by adapters/temporal/client.py in every process that connects to Temporal."""


class Recorder(dict[str, str]):
    """An environment mapping that records which variables are read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return super().__contains__(name)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the minimal environment with which every settings reader reads all of its settings."""
    tokens = tmp_path / "tokens"
    tokens.write_text(token_line("kim", "token"))
    keys = tmp_path / "keys"
    keys.write_text(str(Key(bytes(32))))
    for file in (tokens, keys):
        file.chmod(0o600)
    return {
        "DATABASE_URL": "postgresql://worksub@localhost:5432/worksub",
        KEYS_FILE: str(keys),
        "WORKSUB_SMTP_URL": "smtp://user@localhost:587",
        "WORKSUB_SMTP_PASSWORD": "from-outside",
        "WORKSUB_SMTP_FROM": "NAVER WORKS <notices@works.example>",
        "WORKSUB_OIDC_ISSUER": "https://login.example",
        "WORKSUB_OIDC_CLIENT_ID": "console",
        "WORKSUB_OIDC_CLIENT_SECRET": "from-outside",
        "WORKSUB_CODEC_ORIGIN": "https://temporal.example",
        "WORKSUB_CODEC_TOKENS_FILE": str(tokens),
    }


READERS: dict[str, list[Callable[[Mapping[str, str]], object]]] = {
    "worker": [load_worker_settings, keyring_from],
    "api": [api_settings_from, keyring_from],
    "codec": [lambda environment: codec_settings_from(environment, "worksub")],
    "setup": [keyring_from],
    "worksub": [keyring_from],
}
"""The functions that read the settings of each service."""

COMMANDS = {
    "setup": ["service_commands.py"],
    "codec": ["codec.py"],
    "worksub": ["service_commands.py", "webhooks.py", "codec.py"],
}
"""The CLI modules that read settings directly, except `dev`, which does not run in a container."""


def read_by(service: str, environment: Mapping[str, str]) -> set[str]:
    recorder = Recorder(environment)
    for reader in READERS[service]:
        reader(recorder)
    own = {name for module in COMMANDS.get(service, ()) for name in _named_in(module)}
    # The codec server does not connect to Temporal.
    return recorder.read | own | (set() if service == "codec" else EVERYWHERE)


def _named_in(module: str) -> Iterator[str]:
    """Return the settings that calls of `os.environ.get` and `webhooks_anywhere(os.environ)` read."""
    text = (ROOT / "entrypoints" / "cli" / module).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.environ.get":
            name = ast.literal_eval(node.args[0])
            assert isinstance(name, str)
            yield name
    if "webhooks_anywhere(os.environ)" in text:
        yield "WORKSUB_WEBHOOK_TARGETS"


@pytest.mark.parametrize("service", READERS)
def test_service_receives_every_setting_it_reads(service: str, environment: dict[str, str]) -> None:
    given = SERVICES[service]["environment"]
    read = {name for name in read_by(service, environment) if _NAME.fullmatch(name)}
    assert read - given.keys() == set()


@pytest.mark.parametrize("service", READERS)
def test_env_file_setting_reaches_the_service(service: str) -> None:
    settable = {name for name in SERVICES[service]["environment"] if _NAME.fullmatch(name)} - FIXED
    given = dict.fromkeys(REQUIRED, "4") | {name: f"/from/env/file/{name}" for name in settable}
    written = yaml.safe_load(interpolated(**given))["services"][service]
    mounts = dict(mount.split(":")[1::-1] for mount in written.get("volumes", []))
    arrived = {name: mounts.get(value, value) for name, value in written["environment"].items()}
    assert {name: arrived[name] for name in settable} == {name: given[name] for name in settable}


def test_every_documented_setting_is_read_by_a_service(environment: dict[str, str]) -> None:
    documented = set(tables(page("docs/configuration.md"))[0].column("variable"))
    read = set().union(*(read_by(service, environment) for service in READERS))
    # Temporal's own variables select a server; the compose file runs one.
    of_another_temporal = {name for name in documented if name.startswith("TEMPORAL_")} - read
    assert all(not _NAME.fullmatch(name) for name in of_another_temporal)
    assert documented - read - of_another_temporal == OF_LIBRARIES
    passed = {match[1] for match in VARIABLE.finditer(TEXT)}
    assert documented - of_another_temporal - FIXED - {"PGPASSWORD"} <= passed


def test_empty_setting_equals_unset(environment: dict[str, str]) -> None:
    """`${NAME:-}` passes an empty string for a setting that the env file omits."""
    for readers in READERS.values():
        for reader in readers:
            recorder = Recorder(environment)
            reader(recorder)
            empty = dict.fromkeys(recorder.read, "") | environment
            assert described(reader(empty)) == described(reader(environment))


def described(settings: object) -> str:
    """Return a full description of the settings, without memory addresses of objects."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(settings))
