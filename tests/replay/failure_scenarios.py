"""The kinds of lives in which the world changes, or is away."""

from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from support.frequent_continue_as_new import hasty_server
from support.polling import wait_for
from support.service_env import catalogue, create_database, open_service_env, publish, unique_name
from support.tcp_proxy import TcpProxy
from temporalio.client import WorkflowHistory

from adapters.temporal.search_attributes import NEEDS_ATTENTION

from .recording_env import START, Scene, kind_of_life
from .subscription_scenarios import knows_of

DEARER = {"list = 7200": "list = 9200", "annual = 6000": "annual = 8000"}


@kind_of_life()
async def prices_published_meanwhile(scene: Scene) -> list[WorkflowHistory]:
    """What was judged by the older prices is judged again by the newer ones (R19)."""
    async with scene.house_of_ones_own() as house:
        life = await scene.paid("MONTHLY", house=house)
        assert await publish(house.pool, catalogue("newer", "2027-01-20", **DEARER))
        await life.runs_to("2027-03-02 09:00")
        gold = '[plans.gold]\ntitle = "Gold"\nrank = 4\nlist = 20000\nannual = 18000\n\n[plans.premium]'
        assert await publish(house.pool, catalogue("golden", "2027-02-20", **{"[plans.premium]": gold}))
        await life.asks("upgrade", at="2027-03-02 10:00", plan="gold")
        await life.runs_to("2027-04-02 09:00")
        return await scene.runs_of(life)


@kind_of_life(compared=False)
async def database_away(scene: Scene) -> list[WorkflowHistory]:
    """An effect fails for longer than ten minutes, shows as needing attention, and is done at last."""
    async with AsyncExitStack() as standing:
        door = await standing.enter_async_context(TcpProxy())
        url = await create_database(scene.stack, unique_name("away").replace("-", "_"))
        house = await standing.enter_async_context(
            scene.house_of_ones_own(database_url=door.leads_to_database(url))
        )
        life = await scene.begun(house=house)
        door.closes()
        await life.handle.signal("rename_account", {"group": unique_name("late")})
        await life.clock.advance_to(await life.clock.now() + timedelta(minutes=25))

        async def needs_attention(shown: bool) -> bool:
            described = await life.handle.describe()
            return bool(described.typed_search_attributes.get(NEEDS_ATTENTION)) is shown

        await wait_for("it needs attention", partial(needs_attention, True))
        door.leads_to_database(url)
        await wait_for("it is done", partial(knows_of, life, 2), seconds=60)
        await wait_for("it needs attention no longer", partial(needs_attention, False))
        await life.client.settle(life.id)
        return await scene.runs_of(life)


@kind_of_life(compared=False)
async def continued_at_the_servers_suggestion(scene: Scene) -> list[WorkflowHistory]:
    with TemporaryDirectory(prefix="worksub-hasty-") as directory:
        async with hasty_server(Path(directory)) as address:
            temporal = await scene.connected(address)
            async with open_service_env(scene.stack, temporal) as house:
                life = await scene.paid("MONTHLY", house=house)
                for number in range(1, 9):
                    await life.asks(
                        "change_renewal_option", at=START, term="ANNUAL", members=number, id=f"{number}"
                    )
                await life.runs_to("2027-08-15 09:00")
                await life.ends_at("2027-08-15 10:00")
                return await scene.runs_of(life)


@kind_of_life(compared=False)
async def lost_and_started_anew(scene: Scene) -> list[WorkflowHistory]:
    """Terminated by mistake, and started again with no request: it goes on from the record."""
    life = await scene.paid("MONTHLY")
    await life.runs_to("2027-03-15 09:00")
    await life.handle.terminate("by an operator's mistake")
    await scene.house.temporal.start_workflow(
        "SubscriptionWorkflow",
        {"simulated_at": "2027-03-15T10:00:00+09:00"},
        id=life.workflow_id,
        task_queue=scene.house.task_queue,
    )
    await wait_for("it lives again", life.has_started)
    await life.passes_to("2027-04-15 09:00")
    await life.ends_at("2027-04-15 10:00")
    return await scene.runs_of(life)


@kind_of_life(compared=False)
async def on_its_own_clock(scene: Scene) -> list[WorkflowHistory]:
    """Not simulated at all: a customer's life, from today on."""
    life = await scene.house.requested()
    today = await life.today()
    await life.asks("switch_to_paid", date=f"{today + timedelta(days=3)}", term="ANNUAL")
    started = (await life.status()).started_at
    assert started is not None
    await life.sleeps_until(started + timedelta(days=40))
    await life.asks("upgrade", plan="premium", by="a clerk")
    await life.sleeps_until(started + timedelta(days=400))
    await life.asks("cancel", date=f"{await life.today()}")
    await life.has_closed()
    return await scene.runs_of(life)
