"""Scenarios in which external systems change or are unavailable."""

from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from support.database_pool import create_database
from support.frequent_continue_as_new import hasty_server
from support.polling import wait_for
from support.service_env import catalogue, open_service_env, publish, unique_name
from support.tcp_proxy import TcpProxy
from temporalio.client import WorkflowHistory

from adapters.temporal.search_attributes import NEEDS_ATTENTION

from .recording_env import START, Scene, replay_scenario
from .subscription_scenarios import knows_of

DEARER = {"list = 7200": "list = 9200", "annual = 6000": "annual = 8000"}


@replay_scenario()
async def prices_published_meanwhile(scene: Scene) -> list[WorkflowHistory]:
    """Repeat a decision by older prices with the newer ones (R19)."""
    async with scene.own_service_env() as service_env:
        subscription = await scene.paid("MONTHLY", service_env=service_env)
        assert await publish(service_env.pool, catalogue("newer", "2027-01-20", **DEARER))
        await subscription.runs_to("2027-03-02 09:00")
        gold = '[plans.gold]\ntitle = "Gold"\nrank = 4\nlist = 20000\nannual = 18000\n\n[plans.premium]'
        assert await publish(service_env.pool, catalogue("golden", "2027-02-20", **{"[plans.premium]": gold}))
        await subscription.send("upgrade", at="2027-03-02 10:00", plan="gold")
        await subscription.runs_to("2027-04-02 09:00")
        return await scene.runs_of(subscription)


@replay_scenario(compared=False)
async def database_away(scene: Scene) -> list[WorkflowHistory]:
    """Let an activity fail for more than ten minutes until NeedsAttention is set, and then succeed."""
    async with AsyncExitStack() as resources:
        proxy = await resources.enter_async_context(TcpProxy())
        url = await create_database(scene.stack, unique_name("away").replace("-", "_"))
        service_env = await resources.enter_async_context(
            scene.own_service_env(database_url=proxy.leads_to_database(url))
        )
        subscription = await scene.begun(service_env=service_env)
        proxy.closes()
        await subscription.handle.signal("rename_account", {"group": unique_name("late")})
        await subscription.clock.advance_to(await subscription.clock.now() + timedelta(minutes=25))

        async def needs_attention(shown: bool) -> bool:
            described = await subscription.handle.describe()
            return bool(described.typed_search_attributes.get(NEEDS_ATTENTION)) is shown

        await wait_for("NeedsAttention is set", partial(needs_attention, True))
        proxy.leads_to_database(url)
        await wait_for("the event is recorded", partial(knows_of, subscription, 2))
        await wait_for("NeedsAttention is cleared", partial(needs_attention, False))
        await subscription.client.settle(subscription.id)
        return await scene.runs_of(subscription)


@replay_scenario(compared=False)
async def continued_at_the_servers_suggestion(scene: Scene) -> list[WorkflowHistory]:
    with TemporaryDirectory(prefix="worksub-hasty-") as directory:
        async with hasty_server(Path(directory)) as address:
            temporal = await scene.connected(address)
            async with open_service_env(scene.stack, temporal) as service_env:
                subscription = await scene.paid("MONTHLY", service_env=service_env)
                for number in range(1, 9):
                    await subscription.send(
                        "change_renewal_option", at=START, term="ANNUAL", members=number, id=f"{number}"
                    )
                await subscription.runs_to("2027-08-15 09:00")
                await subscription.ends_at("2027-08-15 10:00")
                return await scene.runs_of(subscription)


@replay_scenario(compared=False)
async def lost_and_started_anew(scene: Scene) -> list[WorkflowHistory]:
    """Terminate the workflow by mistake, restart it without a request, and continue from the database."""
    subscription = await scene.paid("MONTHLY")
    await subscription.runs_to("2027-03-15 09:00")
    await subscription.handle.terminate("by an operator's mistake")
    await scene.service_env.temporal.start_workflow(
        "SubscriptionWorkflow",
        {"simulated_at": "2027-03-15T10:00:00+09:00"},
        id=subscription.workflow_id,
        task_queue=scene.service_env.task_queue,
    )
    await wait_for("the workflow has restarted", subscription.has_started)
    await subscription.advance_to("2027-04-15 09:00")
    await subscription.ends_at("2027-04-15 10:00")
    return await scene.runs_of(subscription)


@replay_scenario(compared=False)
async def on_its_own_clock(scene: Scene) -> list[WorkflowHistory]:
    """Run a subscription that is not simulated: like a customer's, from today on."""
    subscription = await scene.service_env.requested()
    today = await subscription.today()
    await subscription.send("switch_to_paid", date=f"{today + timedelta(days=3)}", term="ANNUAL")
    started = (await subscription.status()).started_at
    assert started is not None
    await subscription.advance_clock_to(started + timedelta(days=40))
    await subscription.send("upgrade", plan="premium", by="a clerk")
    await subscription.advance_clock_to(started + timedelta(days=400))
    await subscription.send("cancel", date=f"{await subscription.today()}")
    await subscription.has_closed()
    return await scene.runs_of(subscription)
