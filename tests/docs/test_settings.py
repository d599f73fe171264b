"""docs/configuration.md lists exactly the settings that the code reads."""

import re
from functools import cache
from pathlib import Path

from opentelemetry.sdk import environment_variables
from support.markdown_pages import ROOT, page, tables
from temporalio.bridge import temporal_sdk_bridge

PACKAGES = ("subscription", "adapters", "workflows", "activities", "starter", "dev_stack", "entrypoints")

_READ = re.compile(r"\b(?:DATABASE_URL|WORKSUB_[A-Z_]+|TEMPORAL_(?:DEPLOYMENT|WORKER)_[A-Z_]+)\b")


def test_documented_settings_match_sdk_and_code() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")] + [ROOT / "worker.py"]
    read = {name for path in files for name in _READ.findall(path.read_text(encoding="utf-8"))}
    assert {name for name in _settings() if not _is_library_setting(name)} == read


def _is_library_setting(name: str) -> bool:
    """Return whether the Temporal SDK, OpenTelemetry or libpq reads this setting."""
    return name.startswith(("PG", "OTEL_", "FORWARDED_")) or name.encode() in _sdk()


@cache
def _sdk() -> bytes:
    return Path(temporal_sdk_bridge.__file__).read_bytes()


def test_trace_settings_are_opentelemetry_settings() -> None:
    ours = [name for name in _settings() if name.startswith("OTEL_")]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in ours
    assert [name for name in ours if not hasattr(environment_variables, name)] == []


def _settings() -> list[str]:
    return tables(page("docs/configuration.md"))[0].column("variable")
