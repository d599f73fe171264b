"""The quickstart of docs/api.md, as it stands there, typed and run."""

import asyncio
import json
import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from docs.pages import blocks, page
from service.house import PASSWORD, House, fresh

from subscription.calendar import KST

from .reception import Reception, Visitor

PAGE = page("docs/api.md")


def _environment(visitor: Visitor) -> dict[str, str]:
    key = visitor.http.headers["authorization"].removeprefix("Bearer ")
    return {**os.environ, "WORKSUB": f"{visitor.http.base_url}/v1".replace("//v1", "/v1"), "KEY": key}


async def test_in_python(reception: Reception, monkeypatch: Any) -> None:
    visitor = await reception.visitor(fresh("C"))
    for name, value in _environment(visitor).items():
        monkeypatch.setenv(name, value)
    [script] = [block.text for block in blocks(PAGE, "python") if "PasswordHasher" in block.text]
    names: dict[str, Any] = {"password": PASSWORD}
    group = fresh("acme")
    await asyncio.to_thread(exec, script.replace('"group": "acme"', f'"group": "{group}"'), names)
    assert (await visitor.gets(f"/subscriptions/{names['subscription_id']}"))["state"] == "TRIAL"


async def test_with_curl(house: House, reception: Reception, tmp_path: Path) -> None:
    visitor = await reception.visitor(fresh("C"))
    (tmp_path / "request.json").write_text(json.dumps(visitor.request_body(house)))
    [script] = [block.text for block in blocks(PAGE, "sh") if "curl" in block.text]
    commands = script.replace("\\\n", "").split("\n")
    asked = [line for line in commands if line.startswith("curl -s ")]
    subscription_id = "ID"
    answers = []
    for line in asked:
        command = line.replace("ID", subscription_id).replace("2027-01-01", _tomorrow())
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", command],
            cwd=tmp_path,
            env=_environment(visitor),
            capture_output=True,
            check=True,
        )
        answers.append(json.loads(done.stdout))
        subscription_id = answers[-1].get("subscription_id", subscription_id)
    assert [next(iter(answer)) for answer in answers] == [
        "version",
        "name",
        "subscription_id",
        "kind",
        "command",
    ]


def _tomorrow() -> str:
    return str(datetime.now(KST).date() + timedelta(days=1))
