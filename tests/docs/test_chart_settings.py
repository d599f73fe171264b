"""The Helm chart accepts each setting that a process reads, as docker-compose.yml does."""

import json
import re

import pytest
import yaml
from support.markdown_pages import ROOT

from adapters.temporal.client import TASK_QUEUE

from .test_compose_settings import FIXED, read_by

CHART = ROOT / "deploy" / "helm" / "worksub"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())["properties"]
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())

_NAME = re.compile(r"(WORKSUB|OTEL)_[A-Z_]+|TEMPORAL_(DEPLOYMENT|WORKER)_[A-Z_]+|FORWARDED_ALLOW_IPS")

BY_REFERENCE = {
    *("WORKSUB_SMTP_PASSWORD", "WORKSUB_OIDC_CLIENT_SECRET", "WORKSUB_CODEC_TOKENS_FILE"),
    *("WORKSUB_ENCRYPTION_KEYS", "WORKSUB_ENCRYPTION_KEYS_FILE", "WORKSUB_CATALOGUE"),
}
"""Settings that have a value of their own in the chart: secrets and files."""


@pytest.mark.parametrize("component", ["worker", "api", "codec"])
def test_chart_accepts_the_settings_of_the_component(component: str) -> None:
    accepted = SCHEMA[component]["properties"]["settings"]["properties"].keys()
    read = {name for name in read_by(component) if _NAME.fullmatch(name)}
    assert accepted - {"FORWARDED_ALLOW_IPS"} == read - FIXED - BY_REFERENCE


def test_common_settings_are_read_by_every_process() -> None:
    common = SCHEMA["settings"]["properties"].keys()
    assert common - {"OTEL_EXPORTER_OTLP_ENDPOINT"} == {
        name
        for name in read_by("worker") & read_by("api") & read_by("codec")
        if _NAME.fullmatch(name) and name not in BY_REFERENCE
    }


def test_defaults_are_values_of_the_schema() -> None:
    assert VALUES.keys() <= SCHEMA.keys()
    for name in ("worker", "api", "codec", "database", "temporal", "networkPolicies", "monitoring"):
        assert VALUES[name].keys() <= SCHEMA[name]["properties"].keys(), name


def test_scaler_reads_the_task_queue_of_the_workers() -> None:
    scaler = (CHART / "templates" / "worker-autoscaling.yaml").read_text()
    assert f"taskQueue: {TASK_QUEUE}\n" in scaler


def test_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    package = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert package
    assert {chart["version"], chart["appVersion"]} == {package[1]}
