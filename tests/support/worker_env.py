"""Environment of a worker process, with a service environment to inspect its results."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import Runtime

from adapters.temporal.client import TASK_QUEUE
from adapters.temporal.data_converter import encrypting
from adapters.temporal.encryption_keys import KEYS, Keyring, keyring_from
from adapters.temporal.search_attributes import register_search_attributes
from dev_stack.stack import EmbeddedStack

from .service_env import ServiceEnv, catalogue_text, open_service_env, unique_name


class WorkerEnv(NamedTuple):
    """A service environment without a worker, in its own namespace: all workers use one task queue."""

    stack: EmbeddedStack
    service_env: ServiceEnv
    settings: dict[str, str]
    home: Path


@asynccontextmanager
async def open_worker_env(
    stack: EmbeddedStack, home: Path, runtime: Runtime | None = None, keyring: Keyring | None = None
) -> AsyncIterator[WorkerEnv]:
    """Open the environment. `runtime` is for workers in this process; by default it has no metrics.

    `keyring` is for encryption; by default it is that of the environment.
    """
    keyring = keyring_from(os.environ) if keyring is None else keyring
    (home / "catalogue.toml").write_text(catalogue_text())
    namespace = unique_name("worker_env")
    await register_namespace(stack, namespace)
    temporal = await Client.connect(
        stack.addresses.temporal_address,
        namespace=namespace,
        data_converter=encrypting(keyring),
        runtime=runtime,
    )
    await register_search_attributes(temporal)
    async with open_service_env(stack, temporal, works=False, task_queue=TASK_QUEUE) as service_env:
        settings = {
            "DATABASE_URL": service_env.worker_url,
            "TEMPORAL_ADDRESS": stack.addresses.temporal_address,
            "TEMPORAL_NAMESPACE": namespace,
            "WORKSUB_CATALOGUE": str(home / "catalogue.toml"),
            "WORKSUB_DNS_RESOLVERS": service_env.dns.address,
            KEYS: ",".join(map(str, keyring.keys)),
        }
        yield WorkerEnv(stack, service_env, settings, home)


async def register_namespace(stack: EmbeddedStack, namespace: str) -> None:
    temporal = await Client.connect(stack.addresses.temporal_address)
    await temporal.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=namespace, workflow_execution_retention_period=Duration(seconds=24 * 3600)
        )
    )
