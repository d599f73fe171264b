"""Validations of a request and of a command: one by the client, one by the worker."""

from types import ModuleType
from typing import Any

import pytest
from support.service_env import ServiceEnv, unique_name

from subscription import commands, request
from subscription.refusals import Refusal
from subscription.validation import parse_strict


def count_validations(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, field: str, value: str
) -> list[str]:
    """Record each validation of input with this field, in the client and in the worker of this process."""
    models: list[str] = []

    def recorded(model: Any, data: Any, *context: Any) -> Any:
        if isinstance(data, dict) and data.get(field) == value:
            models.append(model.__name__)
        return parse_strict(model, data, *context)

    monkeypatch.setattr(module, "parse_strict", recorded)
    return models


async def test_request_is_validated_once_by_client_and_worker(
    service_env: ServiceEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = service_env.request_body()
    validated = count_validations(monkeypatch, request, "request_id", body["request_id"])
    await service_env.client.request(body)
    assert validated == ["Request"] * 2
    await service_env.client.request(body)
    assert validated == ["Request"] * 3


@pytest.mark.parametrize("changes", [{"company_phone": "1"}, {"plan": "platinum"}, {"members": 0}])
async def test_refused_request_is_validated_once(
    service_env: ServiceEnv, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    body = service_env.request_body(**changes)
    validated = count_validations(monkeypatch, request, "request_id", body["request_id"])
    assert isinstance(await service_env.request_outcome(body), Refusal)
    assert validated == ["Request"]
    assert await service_env.client.check_request(body)
    assert validated == ["Request"] * 2


async def test_command_is_validated_once_by_client_and_workflow(
    service_env: ServiceEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = await service_env.requested()
    id = unique_name("command")
    validated = count_validations(monkeypatch, commands, "id", id)
    await subscription.send("rename_account", id=id, group=unique_name("renamed"))
    assert validated == ["RenameAccount"] * 2
