"""`/docs`: the API reference page, which loads everything from this server."""

import re

import pytest
from support.api_client import ApiServer
from support.http_server import http_client


async def test_docs_page_is_self_hosted_with_strict_csp(
    api_server: ApiServer,
) -> None:
    async with http_client(api_server.url) as browser:
        page = await browser.get("/docs")
        files: list[str] = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert {path for path in files if path.startswith("/docs/")} == {
            "/docs/swagger-ui.css",
            "/docs/swagger-ui-bundle.js",
            "/docs/docs.js",
            "/docs/favicon-32x32.png",
        }
        assert set(files) - {path for path in files if path.startswith("/docs/")} == {"/openapi.json"}
        answers = [page, *[await browser.get(path) for path in files if path.startswith("/docs/")]]
        assert (await browser.get("/openapi.json")).json()["info"]["title"] == "worksub"
    for answer in answers:
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in page.text
    assert " style=" not in page.text


@pytest.mark.parametrize("path", ["/docs/", "/docs/nothing.js", "/docs/%2e%2e/app.py", "/docs/docs.html/x"])
async def test_other_docs_paths_are_not_found(api_server: ApiServer, path: str) -> None:
    async with http_client(api_server.url) as browser:
        answer = await browser.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
