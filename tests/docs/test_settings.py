"""docs/running.md has every setting that the code reads, and no other."""

import re
from pathlib import Path

from opentelemetry.sdk import environment_variables
from temporalio.bridge import temporal_sdk_bridge

from .pages import ROOT, page, tables

ROOMS = ("subscription", "workflows", "activities", "starter")


def test_the_settings_are_those_that_the_code_reads() -> None:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")] + [ROOT / "worker.py"]
    read = {
        name
        for path in files
        for name in re.findall(r"\b(?:DATABASE_URL|WORKSUB_[A-Z_]+)\b", path.read_text(encoding="utf-8"))
    }
    assert {name for name in _settings() if not name.startswith(("TEMPORAL_", "OTEL_", "PG"))} == read


def test_temporals_settings_are_the_sdks_own() -> None:
    library = Path(temporal_sdk_bridge.__file__).read_bytes()
    unknown = [name for name in _settings() if name.startswith("TEMPORAL_") and name.encode() not in library]
    assert unknown == []


def test_the_settings_of_traces_are_opentelemetrys_own() -> None:
    ours = [name for name in _settings() if name.startswith("OTEL_")]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in ours
    assert [name for name in ours if not hasattr(environment_variables, name)] == []


def _settings() -> list[str]:
    text = page("docs/running.md")
    section = text[text.index("## Settings") : text.index("## In production")]
    return tables(section)[0].column("variable")
