"""`worksub replay`: running workflows replay on this release, and invalid queries are refused."""

from support.cli_runner import Cli
from support.polling import wait_for

from .conftest import Service


async def test_running_workflow_replays_on_this_release(service: Service, cli: Cli) -> None:
    workflow = f"subscription-{await service.subscribed()}"
    query = f"WorkflowId = '{workflow}' AND ExecutionStatus = 'Running'"

    async def is_listed() -> bool:
        return len([run async for run in service.temporal.list_workflows(query)]) == 1

    await wait_for("it is listed", is_listed)
    assert await cli.json("replay", "--query", query) == {"replayed": 1, "failed": []}
    result = await cli.run("replay", "--limit", "1")
    assert (result.code, result.out.strip(), result.err) == (0, "All 1 runs replay on this release.", "")


async def test_invalid_query_is_refused(cli: Cli) -> None:
    result = await cli.run("replay", "--query", "Colour = 'red'")
    assert result.code != 0
    assert "Colour" in result.err
    assert "Traceback" not in result.err
