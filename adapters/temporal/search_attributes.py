"""Search attribute keys and their registration with a namespace."""

from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeIndexedValueType, SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from subscription.search_attributes import DATETIMES, KEYWORDS, NEEDS_ATTENTION_NAME

NEEDS_ATTENTION = SearchAttributeKey.for_bool(NEEDS_ATTENTION_NAME)

STATE_ATTRIBUTES: tuple[SearchAttributeKey[Any], ...] = (
    *(SearchAttributeKey.for_keyword(name) for name in KEYWORDS),
    *(SearchAttributeKey.for_datetime(name) for name in DATETIMES),
)

REGISTRY = (*STATE_ATTRIBUTES, NEEDS_ATTENTION)


_TYPES = {
    SearchAttributeIndexedValueType.KEYWORD: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    SearchAttributeIndexedValueType.DATETIME: IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
    SearchAttributeIndexedValueType.BOOL: IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
}

# Temporal Cloud does not offer the OperatorService and answers its calls with one of these codes.
_OPERATOR_API_UNAVAILABLE = (
    RPCStatusCode.PERMISSION_DENIED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.UNIMPLEMENTED,
)


async def missing_search_attributes(client: Client) -> list[str]:
    """Return the names of the registry that are not registered in the client's namespace."""
    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), retry=True
        )
    except RPCError as error:
        if error.status not in _OPERATOR_API_UNAVAILABLE:
            raise
        return await missing_by_query(client)
    return [key.name for key in REGISTRY if key.name not in known.custom_attributes]


async def missing_by_query(client: Client) -> list[str]:
    """Return the missing names without the OperatorService.

    The server refuses a visibility query with an unknown search attribute.
    """

    async def is_known(name: str) -> bool:
        try:
            await client.count_workflows(f"{name} IS NULL AND WorkflowId = 'nobody'")
        except RPCError as error:
            if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                raise
            return False
        return True

    return [key.name for key in REGISTRY if not await is_known(key.name)]


async def register_search_attributes(client: Client) -> list[str]:
    """Register the missing search attributes and return their names. Idempotent."""
    missing = await missing_search_attributes(client)
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace,
                search_attributes={
                    key.name: _TYPES[key.indexed_value_type] for key in REGISTRY if key.name in missing
                },
            ),
            retry=True,
        )
    return missing
