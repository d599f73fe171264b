"""The API records its keys as the issuers of commands; no caller can state another channel."""

from support.api_client import ApiClient, ApiServer
from support.service_env import ServiceEnv


async def test_timeline_names_the_api_key(api_server: ApiServer, service_env: ServiceEnv) -> None:
    created = await api_server.keys.create("C-labels", "billing system")
    customer = await api_server.with_token(created.token, "C-labels")
    subscription_id = await customer.requests(service_env)
    path = f"/subscriptions/{subscription_id}"
    switch = {"date": f"{await api_server.subscription(subscription_id).today()}", "term": "MONTHLY"}
    refused = await customer.posts(f"{path}/switch-to-paid", {**switch, "channel": "CONSOLE"}, 422)
    assert [(problem["code"], problem["field"]) for problem in refused["problems"]] == [
        ("UNKNOWN_FIELD", "channel")
    ]
    await customer.posts(f"{path}/switch-to-paid", {**switch, "by": "kim"})
    label = (await api_server.keys.create(None, "night shift")).token
    operator = await api_server.with_token(label)
    await operator.posts(f"{path}/change-renewal-option", {"term": "ANNUAL"})

    async def issuers(client: ApiClient) -> list[tuple[str, str | None]]:
        page = await client.gets(f"{path}/timeline")
        return [(entry["channel"], entry["by"]) for entry in page["items"]]

    shown = [("API", "billing system"), ("API", "kim, billing system")]
    assert await issuers(operator) == [*shown, ("OPERATOR", "night shift")]
    assert await issuers(customer) == [*shown, ("OPERATOR", None)]
