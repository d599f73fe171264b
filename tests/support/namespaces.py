"""Separate namespaces on the Temporal server that all tests share."""

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.data_converter import data_converter
from adapters.temporal.search_attributes import register_search_attributes

from .polling import wait_for
from .service_env import unique_name


async def new_namespace(anywhere: Client) -> Client:
    """Create an empty namespace with the service's search attributes; return a client of it."""
    address, name = anywhere.service_client.config.target_host, unique_name("namespace")
    await anywhere.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=name, workflow_execution_retention_period=Duration(seconds=86_400)
        ),
        retry=True,
    )
    client = await Client.connect(address, namespace=name, data_converter=data_converter())

    async def is_known() -> bool:
        try:
            await register_search_attributes(client)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
        return True

    await wait_for("the server knows the namespace", is_known)
    return client
