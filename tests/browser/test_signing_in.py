"""Sign-in and sign-out at a certified OpenID Connect provider, with its defaults, in a real browser."""

import json
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect
from support.console_server import ConsoleServer, run_console
from support.npm import install_packages
from support.service_env import ServiceEnv

from dev_stack.child_server import ChildProcess, DirectoryLock, free_ports, port_is_free
from entrypoints.console.settings import DEFAULT_SCOPE, ConsoleSettings, OidcSettings

SECRET = "a secret of the console"
READER_LOGIN = {
    "minji": {"name": "Minji", "customer_id": "C-77"},
    "olga": {"name": "Olga", "groups": ["worksub-operators"]},
    "stranger": {"name": "Stranger"},
}


@dataclass
class Provider:
    """The process of the OpenID provider. `stop` ends it."""

    process: ChildProcess

    async def stop(self) -> None:
        await self.process.stop()


@asynccontextmanager
async def provider_for(console: ConsoleServer, port: int, directory: Path) -> AsyncIterator[Provider]:
    """Start a provider with the console registered as a client."""
    node = shutil.which("node")
    assert node, "These tests need Node.js 20"
    options = {
        "port": port,
        "people": READER_LOGIN,
        "client": {
            "client_id": "console",
            "client_secret": SECRET,
            "redirect_uris": [f"{console.url}/sign-in/callback"],
            "post_logout_redirect_uris": [f"{console.url}/sign-in/signed-out"],
        },
    }

    async def answers() -> bool:
        return not port_is_free(port)

    packages = install_packages(Path(__file__).parent / "provider")
    async with DirectoryLock(directory) as lock:
        process = await ChildProcess.start(
            "The provider",
            [node, str(packages / "provider.js"), json.dumps(options)],
            log=directory / "provider.log",
            lock=lock,
            stop_signal=signal.SIGTERM,
        )
        try:
            await process.wait_until(answers)
            yield Provider(process)
        finally:
            await process.stop()


@dataclass
class SignInScenario:
    console: ConsoleServer
    provider: Provider
    page: Page

    async def goes_to(self, path: str) -> None:
        await self.page.goto(self.console.url + path)

    async def continues(self, name: str = "Continue to sign-in") -> None:
        await self.page.get_by_role("link", name=name).click()

    async def signs_in_as(self, person: str) -> None:
        """Fill in the provider's form, and give consent if the provider requests it."""
        await self.page.locator("input[name=login]").fill(person)
        await self.page.locator("input[name=password]").fill("any")
        await self.page.get_by_role("button", name="Sign-in").click()
        await self.page.wait_for_load_state()
        consent = self.page.get_by_role("button", name="Continue")
        if await consent.count():
            await consent.click()

    async def sees(self, text: str) -> None:
        await self.page.get_by_text(text).first.wait_for()

    def refusals(self) -> dict[str, float]:
        """Return the number of refused sign-ins by code."""
        [family] = [
            each
            for each in self.console.metrics.registry.collect()
            if each.name == "worksub_sign_in_refusals"
        ]
        return {sample.labels["code"]: sample.value for sample in family.samples if sample.value}


@pytest.fixture
async def scenario(
    service_env: ServiceEnv, chromium: Browser, tmp_path: Path
) -> AsyncIterator[SignInScenario]:
    async with run_scenario(service_env, chromium, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def run_scenario(
    service_env: ServiceEnv,
    chromium: Browser,
    directory: Path,
    secret: str = SECRET,
    scope: str = "openid profile worksub",
) -> AsyncIterator[SignInScenario]:
    [port] = free_ports(1)
    oidc = OidcSettings(f"http://127.0.0.1:{port}", "console", secret, scope=scope)
    async with (
        run_console(service_env, ConsoleSettings(url="", oidc=oidc)) as console,
        provider_for(console, port, directory) as provider,
    ):
        context = await chromium.new_context(locale="en")
        context.set_default_timeout(20_000)
        yield SignInScenario(console, provider, await context.new_page())
        await context.close()


async def test_userinfo_claims_and_provider_sign_out(
    scenario: SignInScenario,
) -> None:
    await scenario.goes_to("/subscriptions")
    await scenario.continues()
    await scenario.signs_in_as("minji")
    await scenario.sees("No subscription yet")
    await scenario.sees("C-77")

    await scenario.page.get_by_role("button", name="Sign out").click()
    await scenario.page.get_by_role("button", name="Yes, sign me out").click()
    await scenario.page.wait_for_url(f"{scenario.console.url}/sign-in?choose=1")
    await scenario.goes_to("/sign-in")
    await scenario.continues()
    await scenario.signs_in_as("olga")
    await scenario.sees("All subscriptions")
    assert scenario.refusals() == {}


async def test_provider_session_still_prompts_for_the_account(
    scenario: SignInScenario,
) -> None:
    await scenario.goes_to("/sign-in")
    await scenario.continues()
    await scenario.signs_in_as("minji")
    await scenario.sees("No subscription yet")
    await scenario.page.get_by_role("button", name="Sign out").click()
    await scenario.page.get_by_role("button", name="No, stay signed in").click()
    await scenario.page.wait_for_url(f"{scenario.console.url}/sign-in?choose=1")
    await scenario.continues("Continue with an account of your choice")
    await scenario.signs_in_as("olga")
    await scenario.sees("All subscriptions")


async def test_unknown_account_can_choose_another_account(scenario: SignInScenario) -> None:
    await scenario.goes_to("/operator")
    await scenario.continues()
    await scenario.signs_in_as("stranger")
    await scenario.sees("This account belongs to no customer.")
    await scenario.sees("ACCOUNT_UNKNOWN · ")
    await scenario.continues("Continue with an account of your choice")
    await scenario.signs_in_as("olga")
    await scenario.page.wait_for_url(f"{scenario.console.url}/operator")
    assert scenario.refusals()["ACCOUNT_UNKNOWN"] == 1


async def test_missing_claims_scope_makes_account_unknown(
    service_env: ServiceEnv, chromium: Browser, tmp_path: Path
) -> None:
    async with run_scenario(service_env, chromium, tmp_path, scope=DEFAULT_SCOPE) as scenario:
        await scenario.goes_to("/sign-in")
        await scenario.continues()
        await scenario.signs_in_as("minji")
        await scenario.sees("ACCOUNT_UNKNOWN · ")


async def test_unavailable_provider_is_reported_as_the_reason(scenario: SignInScenario) -> None:
    await scenario.goes_to("/sign-in")
    await scenario.continues()
    await scenario.signs_in_as("minji")
    await scenario.sees("No subscription yet")
    await scenario.provider.stop()
    await scenario.page.reload()
    await scenario.sees("No subscription yet")
    await scenario.page.get_by_role("button", name="Sign out").click()
    await scenario.page.wait_for_url(f"{scenario.console.url}/sign-in?choose=1")
    await scenario.continues("Continue with an account of your choice")
    await scenario.sees("Your organization's sign-in is not responding.")
    await scenario.sees("ISSUER_UNREACHABLE · ")
    assert scenario.refusals() == {"ISSUER_UNREACHABLE": 1}


async def test_wrong_client_secret_is_reported_as_the_reason(
    service_env: ServiceEnv, chromium: Browser, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_scenario(service_env, chromium, tmp_path, secret="another secret") as scenario:
        await scenario.goes_to("/sign-in")
        await scenario.continues()
        await scenario.signs_in_as("minji")
        await scenario.sees("CLIENT_REJECTED · ")
        shown = await scenario.page.get_by_text("CLIENT_REJECTED · ").inner_text()
        await expect(scenario.page.get_by_text("Minji")).to_have_count(0)
        assert scenario.refusals() == {"CLIENT_REJECTED": 1}
    [logged] = [record for record in caplog.records if record.getMessage() == "sign-in refused"]
    fields = getattr(logged, "fields", {})
    assert (fields["code"], fields["issuer_error"]) == ("CLIENT_REJECTED", "invalid_client")
    assert fields["request_id"] in shown
