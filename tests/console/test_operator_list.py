"""Tests of the operators' list: an address is a saved search."""

from support.console_server import ConsoleServer
from support.html_forms import sign_in
from support.service_env import unique_name


async def test_operator_list_filters_by_its_address(console: ConsoleServer) -> None:
    name = unique_name("listed")
    await console.service_env.paid("2026-01-01 09:00", "ANNUAL", account={"group": name})
    async with console.browser() as browser:
        await sign_in(browser, "")
        terms = "plan=basic&term=ANNUAL&members=10&contract_to_from=2027-01-01"
        matching = f"/operator?account_name={name.upper()}&{terms}"
        page = (await browser.get(matching)).text
        assert "<h2>1 subscription</h2>" in page
        assert f">{name}</a>" in page
        assert 'value="2027-01-01"' in page
        page = (await browser.get(f"{matching}&reservation=CANCELLATION")).text
        assert "No subscription matches" in page
        assert '<a class="button" href="/operator">Clear filters</a>' in page
        refused = await browser.get("/operator?which=needs-attention&members=10")
        assert refused.status_code == 422
        assert "This list cannot be filtered by members" in refused.text
