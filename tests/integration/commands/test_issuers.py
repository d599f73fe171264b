"""The timeline shows who issued each command, and after erasure only the channel."""

from support.polling import wait_for
from support.service_env import ServiceEnv
from support.subscription_driver import SubscriptionDriver

from starter.caller import OPERATOR, Caller
from starter.client import SubscriptionClient
from subscription.issuer import Channel, Issuer

OPERATORS_NAME = "Kim of support"


def client_of(
    service_env: ServiceEnv, customer: str | None, channel: Channel, name: str
) -> SubscriptionClient:
    caller = Caller(customer) if customer else OPERATOR
    return service_env.client.for_caller(caller, issuer=Issuer(channel=channel, by=name))


async def issuers(
    client: SubscriptionClient, subscription: SubscriptionDriver
) -> list[tuple[str, str, str | None]]:
    return [(each.event, each.channel.value, each.by) for each in await client.timeline(subscription.id)]


async def test_timeline_names_issuers_until_the_erasure(service_env: ServiceEnv) -> None:
    customer = "C-issuing"
    portal = client_of(service_env, customer, Channel.CONSOLE, "Minji")
    body = service_env.request_body(customer_id=customer, simulated_at="2027-03-01T09:00:00+09:00")
    answer = await portal.request(body)
    subscription = SubscriptionDriver(portal, service_env.temporal, answer.subscription_id, body)
    await subscription.send("switch_to_paid", at="2027-03-01 10:00", date="2027-03-01", term="MONTHLY")
    key = client_of(service_env, customer, Channel.API, "billing system")
    option = {"term": "MONTHLY", "at": "2027-03-02T10:00:00+09:00"}
    await key.command(subscription.id, "change_renewal_option", {**option, "by": "Lee", "channel": "SYSTEM"})
    operator = client_of(service_env, None, Channel.CLI, OPERATORS_NAME)
    upgrade = {"members": 20, "agreed_terms": body["agreed_terms"], "at": "2027-03-03T10:00:00+09:00"}
    await operator.command(subscription.id, "upgrade", upgrade)
    signal = {"date": "soon", "by": OPERATORS_NAME, "channel": "CONSOLE"}
    await subscription.handle.signal("cancel", signal)

    async def is_refused() -> bool:
        return "REFUSED" in await subscription.events()

    await wait_for("the signal is refused in the timeline", is_refused)
    await subscription.advance_to("2027-04-01 00:00")

    expected = [
        ("TRIAL_STARTED", "CONSOLE", "Minji"),
        ("SWITCHED_TO_PAID", "CONSOLE", "Minji"),
        ("RENEWAL_OPTION_CHANGED", "API", "Lee, billing system"),
        ("UPGRADED", "CLI", OPERATORS_NAME),
        ("REFUSED", "SIGNAL", None),
        ("SERVICE_FEES_POSTED", "SYSTEM", None),
        ("CONTRACT_RENEWED", "SYSTEM", None),
    ]
    assert await issuers(service_env.client, subscription) == expected
    operators = {"CLI", "SIGNAL"}
    assert await issuers(portal, subscription) == [
        (event, "OPERATOR", None) if channel in operators else (event, channel, by)
        for event, channel, by in expected
    ]

    await subscription.cancel_and_wait("2027-04-02 09:00")
    assert await issuers(service_env.client, subscription) == [
        *[(event, channel, None) for event, channel, _ in expected],
        ("CANCELED", "CONSOLE", None),
        ("ERASED", "SYSTEM", None),
    ]
