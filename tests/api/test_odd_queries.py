"""Unusual query parameter values: each is accepted or refused; none causes an error or is misread."""

import json

import pytest
from support.api_client import ApiClient, ApiServer, api_description
from support.service_env import ServiceEnv, unique_name
from support.sizes import IS_LARGE

ODD = (
    "",
    " ",
    "\0",
    "-1",
    "0",
    "1.0",
    "2147483648",
    "9" * 30,
    "1700000000",
    "0001-01-01",
    "9999-12-31",
    "2027-02-30",
    "2027-07-01T00:00:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999-23:59",
    "infinity",
    "' OR true",
    "https://acme.co.kr/",
    "\u1112\u1161\u11ab.kr",
    "MQ",
    "~",
    "x" * 5000,
)
_MOST_ALIKE = 1 if IS_LARGE else 4
_TEXTS = ("title", "description", "examples")


def odd_queries() -> dict[str, list[dict[str, str]]]:
    """Return the queries of each path: every odd value for every kind of parameter.

    Parameters with the same schema have the same type. Groups of up to four of them share the values; in the
    large size each of them has all values.
    """
    alike: dict[str, list[tuple[str, str]]] = {}
    for path, operations in api_description()["paths"].items():
        for parameter in operations.get("get", {}).get("parameters", []):
            if parameter["in"] == "query":
                schema = {key: value for key, value in parameter["schema"].items() if key not in _TEXTS}
                alike.setdefault(json.dumps(schema), []).append((path, parameter["name"]))
    queries: dict[str, list[dict[str, str]]] = {}
    for parameters in alike.values():
        share = min(len(parameters), _MOST_ALIKE)
        for number, (path, name) in enumerate(parameters):
            queries.setdefault(path, []).extend({name: value} for value in ODD[number % share :: share])
    return queries


QUERIES = odd_queries()


@pytest.mark.parametrize("path", QUERIES)
async def test_query_parameter_values_cause_no_server_error(operator: ApiClient, path: str) -> None:
    filled = (
        path.replace("{number}", "1")
        .replace("{run}", "run")
        .replace("{run_id}", "run")
        .replace("{subscription_id}", "none")
    )
    filled = filled.replace("{endpoint_id}", "none")
    for query in QUERIES[path]:
        answer = await operator.http.get(filled, params=query)
        assert answer.status_code < 500, (query, answer.text)


@pytest.mark.parametrize(
    ("path", "name", "value", "code"),
    [
        ("/subscriptions", "members", "0", "INVALID_VALUE"),
        ("/subscriptions", "members", "2147483648", "INVALID_VALUE"),
        # Pydantic would parse these as seconds since 1970 and as midnight of that date.
        ("/subscriptions", "contract_to_from", "0", "INVALID_DATE"),
        ("/subscriptions", "contract_to_before", "2027-07-01T00:00:00", "INVALID_DATE"),
        ("/subscriptions", "trial_ends_at_from", "1700000000", "INVALID_INSTANT"),
        ("/subscriptions", "trial_ends_at_before", "2027-07-01T00:00:00", "INVALID_INSTANT"),
        ("/subscriptions", "next_deadline_at_from", "0001-01-01T00:00:00+23:59", "INVALID_INSTANT"),
        ("/subscriptions", "account_name", "https://acme.co.kr/", "INVALID_DOMAIN_NAME"),
        ("/subscriptions", "account_name", "", "INVALID_GROUP_NAME"),
        ("/subscriptions", "account_name", "\0", "INVALID_GROUP_NAME"),
        ("/subscriptions", "plan", "basc", "INVALID_VALUE"),
        ("/subscriptions", "plan", "", "INVALID_VALUE"),
        ("/subscriptions", "state", "SUSPNDED", "INVALID_VALUE"),
        ("/subscriptions", "access", "full", "INVALID_VALUE"),
        ("/subscriptions", "term", "YEARLY", "INVALID_VALUE"),
        ("/subscriptions", "reservation", "SWITCH", "INVALID_VALUE"),
        ("/subscriptions", "next_deadline", "NEVER", "INVALID_VALUE"),
        ("/find", "query", "Plan = 'basc'", "INVALID_VALUE"),
        ("/find", "which", "restrcted", "INVALID_VALUE"),
        ("/find", "state", "SUSPNDED", "INVALID_VALUE"),
        ("/notices", "kind", "LETTER", "INVALID_VALUE"),
        ("/notices", "state", "LOST", "INVALID_VALUE"),
        ("/invoices", "kind", "BILL", "INVALID_VALUE"),
        ("/events", "event", "TRIAL_STARTD", "INVALID_VALUE"),
        ("/invoices", "month", "0", "INVALID_VALUE"),
        ("/invoices", "month", "2027-03-15", "INVALID_VALUE"),
        ("/subscriptions/none/quote", "on", "0", "INVALID_DATE"),
    ],
)
async def test_ambiguous_query_value_is_refused(
    operator: ApiClient, path: str, name: str, value: str, code: str
) -> None:
    refused = await operator.gets(path, 422, **{name: value})
    assert refused["code"] == "INVALID_ARGUMENT"
    assert [(problem["field"], problem["code"]) for problem in refused["problems"]] == [(name, code)]


async def test_a_cursor_belongs_to_its_list(service_env: ServiceEnv, api_server: ApiServer) -> None:
    visitor = await api_server.visitor(unique_name("C"))
    ids = sorted(
        [
            (await visitor.posts("/subscriptions", visitor.request_body(service_env), 201))["subscription_id"]
            for _ in range(2)
        ]
    )
    first = await visitor.gets("/subscriptions", limit=1)
    second = await visitor.gets("/subscriptions", limit=1, cursor=first["next"])
    assert [page["items"][0]["subscription_id"] for page in (first, second)] == ids
    assert second["next"] is None
    for path in ("/find", "/invoices", "/notices", f"/subscriptions/{ids[0]}/timeline"):
        assert (await visitor.gets(path, 400, cursor=first["next"]))["code"] == "INVALID_CURSOR"
    for wrong in ("", "MQ", first["next"] + "A", first["next"][:-1], first["next"] + "="):
        assert (await visitor.gets("/subscriptions", 400, cursor=wrong))["code"] == "INVALID_CURSOR"


async def test_account_lookup_normalizes_input(service_env: ServiceEnv, api_server: ApiServer) -> None:
    visitor = await api_server.visitor(unique_name("C"))
    name = unique_name("filter")
    for account, typed in (
        ({"group": name}, (name, name.upper())),
        (
            {"domain": f"{name}.\ud55c\uad6d"},
            (f"{name.upper()}.\u1112\u1161\u11ab\u1100\u116e\u11a8", f"{name}.xn--3e0b707e"),
        ),
    ):
        created = await visitor.posts(
            "/subscriptions", visitor.request_body(service_env, account=account), 201
        )
        for text in typed:
            found = await visitor.gets("/subscriptions", account_name=text)
            assert [item["subscription_id"] for item in found["items"]] == [created["subscription_id"]], text
