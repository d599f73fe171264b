"""Session fixtures: one Chromium process and the console under test."""

import shutil
from collections.abc import AsyncIterator

import pytest
from console.conftest import console, service_env
from playwright.async_api import Browser, async_playwright

__all__ = ["console", "service_env"]


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "The browser tests need Chromium; on Debian: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path,
            # Without a graphics card, Chromium would compute WebGL's pixels on the processor.
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        await browser.close()
