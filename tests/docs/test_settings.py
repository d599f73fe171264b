"""docs/configuration.md lists exactly the settings that the processes read."""

import re
from functools import cache
from pathlib import Path

from opentelemetry.sdk import environment_variables
from support.markdown_pages import ROOT, page, tables
from temporalio.bridge import temporal_sdk_bridge

from entrypoints.settings import PAGE, fields_by_variable, meanings, unknown_settings, with_table

PACKAGES = ("subscription", "adapters", "workflows", "activities", "starter", "dev_stack", "entrypoints")

_READ = re.compile(r"\b(?:DATABASE_URL|WORKSUB_[A-Z_]+|TEMPORAL_(?:DEPLOYMENT|WORKER)_[A-Z_]+)\b")


def test_settings_table_is_generated_from_the_classes() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_table(text) == text, "run `make settings` to regenerate it"


def test_no_variable_is_read_outside_the_settings_classes() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")] + [ROOT / "worker.py"]
    read = {name for path in files for name in _READ.findall(path.read_text(encoding="utf-8"))}
    assert read <= fields_by_variable().keys()


def test_every_setting_has_a_description() -> None:
    assert meanings().keys() == fields_by_variable().keys()


def test_library_settings_exist_in_the_libraries() -> None:
    for name in tables(page("docs/configuration.md"))[1].column("variable"):
        match name.partition("_")[0]:
            case "TEMPORAL":
                assert name.encode() in _sdk()
            case "OTEL":
                assert hasattr(environment_variables, name)
            case other:
                assert other in ("PGPASSWORD", "FORWARDED")


@cache
def _sdk() -> bytes:
    return Path(temporal_sdk_bridge.__file__).read_bytes()


def test_unknown_settings_are_named_with_the_nearest_one() -> None:
    environment = {
        "WORKSUB_SMTP_PASSWD": "x",
        "WORKSUB_CODEC_ORIGIN": "https://temporal.example",
        "WORKSUB_COLOR": "x",
        "PATH": "/bin",
    }
    assert list(unknown_settings(environment)) == [
        "WORKSUB_COLOR is not a setting.",
        "WORKSUB_SMTP_PASSWD is not a setting. Did you mean WORKSUB_SMTP_PASSWORD?",
    ]
