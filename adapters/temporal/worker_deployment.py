"""Worker deployment settings, with the variables that the Temporal Worker Controller sets on Kubernetes."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import WorkerDeploymentConfig

from adapters.settings import Settings


# Stricter than the server's rules: a worker with an invalid name receives no tasks and no error.
def _check(name: str, symbols: str, described: str) -> str:
    if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9{symbols}]{{0,199}}", name):
        raise ValueError(
            f"is {name!r}; it must be 1 to 200 letters, digits, {described}, and begin with a letter or digit"
        )
    return name


def _build_id(name: str) -> str:
    return _check(name, "_.+-", "hyphens, underscores, dots and plus signs")


class DeploymentSettings(Settings):
    build_id: Annotated[str, AfterValidator(_build_id)] | None = Field(
        None, validation_alias="TEMPORAL_WORKER_BUILD_ID", examples=["0.1.0"]
    )
    """Version of this worker in its deployment."""
    deployment: WorkerDeploymentConfig | None = Field(
        None, validation_alias="TEMPORAL_DEPLOYMENT_NAME", validate_default=True, examples=["worksub"]
    )
    """Deployment of this worker: [worker versioning](upgrading.md#with-worker-versions)."""

    @field_validator("deployment", mode="plain")
    @classmethod
    def _deployment(cls, name: str | None, info: ValidationInfo) -> WorkerDeploymentConfig | None:
        build_id = info.data.get("build_id")
        if not name and not build_id:
            return None
        if not name:
            raise ValueError("is not set, but TEMPORAL_WORKER_BUILD_ID is; set both or neither")
        _check(name, "_/-", "hyphens, underscores and slashes")
        if "build_id" in info.data and not build_id:
            raise ValueError("is set, but TEMPORAL_WORKER_BUILD_ID is not; set both or neither")
        if build_id is None:
            return None
        return WorkerDeploymentConfig(
            version=WorkerDeploymentVersion(name, build_id),
            use_worker_versioning=True,
            # Subscriptions run for years. If they stayed pinned to a version, no version could be retired.
            default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
        )
