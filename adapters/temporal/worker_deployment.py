"""Worker deployment settings (TEMPORAL_DEPLOYMENT_NAME, TEMPORAL_WORKER_BUILD_ID)."""

import re
from collections.abc import Mapping

from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import WorkerDeploymentConfig

# The variables that the Temporal Worker Controller sets on Kubernetes.
_DEPLOYMENT, _BUILD = "TEMPORAL_DEPLOYMENT_NAME", "TEMPORAL_WORKER_BUILD_ID"

# Stricter than the server's rules: a worker with an invalid name receives no tasks and no error.
_FORMS = {
    _DEPLOYMENT: (re.compile(r"[A-Za-z0-9][A-Za-z0-9_/-]{0,199}"), "hyphens, underscores and slashes"),
    _BUILD: (re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}"), "hyphens, underscores, dots and plus signs"),
}


class VersionSettingsError(Exception):
    """The version settings are invalid; the message names valid values."""


def deployment_from(environment: Mapping[str, str]) -> WorkerDeploymentConfig | None:
    """Return the deployment version of the environment, or None. Raises `VersionSettingsError`."""
    named = {name: environment[name] for name in _FORMS if environment.get(name)}
    if not named:
        return None
    for name, (form, characters) in _FORMS.items():
        if name not in named:
            [other] = named
            raise VersionSettingsError(
                f"{other} is set and {name} is not; set both, for example to worksub and 0.1.0, or neither."
            )
        if not form.fullmatch(named[name]):
            raise VersionSettingsError(
                f"{name} is {named[name]!r}; it must be 1 to 200 letters, digits, {characters}, "
                "and begin with a letter or digit."
            )
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(named[_DEPLOYMENT], named[_BUILD]),
        use_worker_versioning=True,
        # Subscriptions run for years. If they stayed pinned to a version, no version could be retired.
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )
