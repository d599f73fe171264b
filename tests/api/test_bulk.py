"""Bulk runs over HTTP: dry run, start, progress, results, control."""

from datetime import datetime

from support.api_client import ApiClient
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv

from subscription.business_calendar import KST


async def test_bulk_run_is_started_as_shown_and_has_results(
    service_env: ServiceEnv, operator: ApiClient
) -> None:
    trials = await gather_all(operator.requests(service_env) for _ in range(3))
    body = {
        "command": "switch_to_paid",
        "argument": {"date": datetime.now(KST).date().isoformat(), "term": "MONTHLY", "members": 5},
        "select": {"ids": [*trials, "missing"]},
    }
    shown = await operator.posts("/bulk/dry-run", body)
    summary = shown["summary"]
    # Five members at the list price of the plan basic, 7,200, in each of three contracts.
    assert (summary["accepted"], summary["monthly_after"]) == (3, 3 * 5 * 7_200)
    assert (summary["subscriptions"], summary["customers"]) == (4, 1)
    assert summary["refused"] == {"SUBSCRIPTION_NOT_FOUND": 1}
    assert [effect["code"] for effect in shown["effects"]].count(None) == 3
    refused = await operator.posts("/bulk", {**body, "preview": "0123456789abcdef"}, 409)
    assert refused["code"] == "PREVIEW_OUTDATED"

    run = await operator.posts("/bulk", {**body, "preview": summary["preview"], "rate": 50}, 202)

    path = f"/bulk/{run['run_id']}"

    async def is_completed() -> bool:
        return bool((await operator.gets(path))["state"] == "COMPLETED")

    await wait_for("the run is completed", is_completed)
    first = await operator.gets(f"{path}/results", outcome="ACCEPTED", limit=2)
    rest = await operator.gets(f"{path}/results", outcome="ACCEPTED", cursor=first["next"])
    assert {result["subscription_id"] for result in first["items"] + rest["items"]} == set(trials)
    assert rest["next"] is None
    assert run["run_id"] in [each["run_id"] for each in (await operator.gets("/bulk"))["items"]]
    for action in ("pause", "resume", "stop"):
        assert (await operator.posts(f"{path}/{action}", {}, 409))["code"] == "BULK_RUN_ENDED"
    assert (await operator.posts("/bulk/none/stop", {}, 404))["code"] == "BULK_RUN_NOT_FOUND"


async def test_bulk_input_is_refused_with_its_fields(operator: ApiClient) -> None:
    async def problems(**body: object) -> set[tuple[str | None, str]]:
        refused = await operator.posts("/bulk/dry-run", body, 422)
        return {(problem["field"], problem["code"]) for problem in refused["problems"]}

    withdraw = {"command": "withdraw_reservation"}
    assert await problems(**withdraw) == {("select", "MISSING_FIELD")}
    assert await problems(**withdraw, select={}) == {("select", "MISSING_FIELD")}
    assert await problems(**withdraw, select={"ids": ["a"], "plan": "basic"}) == {("ids", "INVALID_VALUE")}
    assert await problems(**withdraw, select={"plan": "basic", "colour": "red"}) == {
        ("select.colour", "UNKNOWN_FIELD")
    }
    assert await problems(command="cancel", argument={"confirmation": "x"}, select={"plan": "basic"}) == {
        ("confirmation", "UNKNOWN_FIELD")
    }
    unknown = await operator.posts(
        "/bulk/dry-run", {"command": "rename_account", "select": {"ids": ["a"]}}, 422
    )
    assert unknown["code"] == "UNKNOWN_COMMAND"
