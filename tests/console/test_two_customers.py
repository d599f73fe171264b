"""Two customers, one of whom tries everything against the other: nothing of another's is there."""

from service.house import fresh

from .forms import sign_in
from .hosting import Hosted

_PAGES = ("", "/switch", "/renewal", "/upgrade", "/cancel", "/cancel/quote?date=2027-01-01", "/rename")
_COMMANDS = {
    "/switch": {"date": "2027-01-01", "term": "ANNUAL"},
    "/renewal": {"term": "ANNUAL"},
    "/upgrade": {"plan": "premium"},
    "/cancel": {"date": "2027-01-01", "confirmation": "admin"},
    "/withdraw": {},
    "/rename": {"kind": "GROUP", "name": "mine"},
    "/domain": {},
    "/clock": {"by": "day"},
}


async def test_another_customers_subscription_is_not_there(console: Hosted) -> None:
    life = await console.house.requested()
    before = await console.house.client.timeline(life.id)
    async with console.browser() as browser:
        await sign_in(browser, fresh("stranger"))
        proof = await _proof(await _text(browser, "/subscriptions"))
        missing = await _text(browser, "/subscriptions/no-such-subscription")
        for page in _PAGES:
            answer = await browser.get(f"/subscriptions/{life.id}{page}")
            assert answer.status_code == 404
            assert _without_addresses(answer.text) == _without_addresses(missing)
        for path, fields in _COMMANDS.items():
            answer = await browser.post(
                f"/subscriptions/{life.id}{path}",
                data={**fields, "proof": proof},
                headers={"origin": console.url},
            )
            assert answer.status_code == 404, path
        assert (await browser.get(f"/request/complete/{life.id}")).status_code == 404
        assert (await browser.get("/operator")).status_code == 404
        assert (await browser.get(f"/operator?customer={life.request['customer_id']}")).status_code == 404
        assert life.id not in await _text(browser, "/subscriptions")
    assert await console.house.client.timeline(life.id) == before


async def test_operators_see_everybody_and_customers_only_themselves(console: Hosted) -> None:
    life = await console.house.requested()
    customer = life.request["customer_id"]
    async with console.browser() as browser:
        await sign_in(browser, "")
        assert life.id[:8] in await _text(browser, f"/operator?customer={customer}")
        assert life.id[:8] not in await _text(browser, "/operator?customer=somebody-else")
        assert (await browser.get(f"/subscriptions/{life.id}")).status_code == 200
        assert (await browser.get("/request")).status_code == 404
        for ready_made in ("needs-attention", "trials-ending", "suspended", "restricted"):
            assert (await browser.get(f"/operator?show={ready_made}&state=TRIAL")).status_code == 200
    async with console.browser() as browser:
        await sign_in(browser, customer)
        assert life.id[:8] in await _text(browser, "/subscriptions")


async def _text(browser: object, path: str) -> str:
    return (await browser.get(path)).text  # type: ignore[attr-defined, no-any-return]


async def _proof(page: str) -> str:
    return page.split('name="proof" value="')[1].split('"')[0]


def _without_addresses(page: str) -> str:
    """Pages name their own address in the form for the language."""
    return "\n".join(line for line in page.splitlines() if 'name="next"' not in line)
