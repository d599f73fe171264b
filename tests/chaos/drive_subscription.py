"""Drive a planned subscription through the service while its servers fail."""

import asyncio
import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from subscription.domain_verification import PendingDomain, verification_records
from subscription.scenario import (
    CONFIRM_DOMAIN,
    Scenario,
    ScenarioStep,
    confirmation_in,
    read_scenario,
    sample_request,
    with_default_arguments,
)

from .environment import ChaosEnvironment
from .planned_subscriptions import PlannedLife
from .polling import patiently

_LOOK_AGAIN = 0.2


@dataclass
class Lived:
    """The responses of one subscription: `answers` has a list for each step, with one response per copy."""

    planned: PlannedLife
    subscription_id: str = ""
    refused_rivals: list[str] = field(default_factory=list)
    requests: list[list[dict[str, Any]]] = field(default_factory=list)
    answers: list[list[dict[str, Any]]] = field(default_factory=list)
    is_over: bool = False
    doing: str = "waiting to begin"

    @property
    def scenario(self) -> Scenario:
        return read_scenario(self.planned.scenario)


class Living:
    """Driver of one subscription, which records the responses."""

    def __init__(self, world: ChaosEnvironment, planned: PlannedLife, seed: int) -> None:
        self.lived = Lived(planned)
        self._world = world
        self._chance = random.Random(f"{seed}/{planned.number}/copies")
        self._scenario = self.lived.scenario

    async def live(self) -> None:
        await self._request()
        id_, scenario = self.lived.subscription_id, self._scenario
        clock = self._world.client.clock(id_)
        ahead = scenario.starts_at - await patiently(clock.now)
        for step in scenario.steps:
            await self._pass_to(step.at, ahead)
            self.lived.doing = f"{step.command} at {step.at}"
            self.lived.answers.append(await self._take(step))
        await self._pass_to(scenario.until, ahead)
        self.lived.is_over = True

    async def _request(self) -> None:
        """Send the concurrent requests for one name, each in several copies; one is accepted (R5, R9)."""
        planned, scenario = self.lived.planned, self._scenario
        self.lived.doing = "requesting"
        bodies = []
        for rival in range(planned.rivals):
            sample = sample_request(scenario, self._world.book, planned.request_id(rival))
            bodies.append(
                {
                    **sample,
                    "customer_id": planned.customer_id,
                    "company_name": f"Company {planned.marker}",
                    "simulated_at": scenario.starts_at.isoformat(),
                }
            )
        self.lived.requests = await asyncio.gather(*(self._ask("request", body) for body in bodies))
        ids = [planned.subscription_id(rival) for rival in range(planned.rivals)]
        took = [id_ for id_, copies in zip(ids, self.lived.requests, strict=True) if copies[0]["accepted"]]
        self.lived.subscription_id = took[0] if took else ids[0]
        self.lived.refused_rivals = [id_ for id_ in ids if id_ not in took[:1]]

    async def _pass_to(self, moment: datetime, ahead: timedelta) -> None:
        """Advance the subscription's simulated clock, and process all deadlines that are due at that time."""
        client, id_ = self._world.client, self.lived.subscription_id
        self.lived.doing = f"its clock goes to {moment}"
        await patiently(lambda: client.clock(id_).advance_to(moment - ahead))
        self.lived.doing = f"what is due at {moment}"
        await patiently(lambda: client.settle(id_, moment))

    async def _take(self, step: ScenarioStep) -> list[dict[str, Any]]:
        id_, book = self.lived.subscription_id, self._world.book
        state = await patiently(lambda: self._world.read.snapshot(id_))
        assert state is not None
        if step.command == CONFIRM_DOMAIN:
            with self._proofs_published(state.claims):
                return await self._confirmed(step)
        argument = with_default_arguments(step, book, confirmation_in(state))
        return await self._ask(step.command, {**argument, "at": step.at.isoformat()})

    async def _confirmed(self, step: ScenarioStep) -> list[dict[str, Any]]:
        """Repeat the check until the DNS answers correctly: a false answer means "not yet" (R13)."""
        id_ = self.lived.subscription_id
        looks = itertools.count()
        while True:
            # Each check has an ID; otherwise a check whose response was lost would be refused when repeated.
            argument = {"at": step.at.isoformat(), "id": f"look-{len(self.lived.answers)}-{next(looks)}"}
            [answer] = await self._ask("check_domain", argument, copies=1)
            state = await patiently(lambda: self._world.read.snapshot(id_))
            if not answer["accepted"] or state is None or not state.claims:
                return [answer]
            await asyncio.sleep(_LOOK_AGAIN)

    async def _ask(self, command: str, argument: Any, copies: int | None = None) -> list[dict[str, Any]]:
        """Return the responses to copies of one command, sent concurrently from several processes."""
        copies = copies or self._chance.choice([1, 1, 1, 2, 3])
        askers = [self._chance.choice(self._world.askers) for _ in range(copies)]
        token = self._world.tokens.get(self.lived.planned.customer_id)
        asked = (asker.ask(command, argument, self.lived.subscription_id, token) for asker in askers)
        return list(await asyncio.gather(*asked))

    @contextmanager
    def _proofs_published(self, claims: Sequence[PendingDomain]) -> Iterator[None]:
        with ExitStack() as published:
            for claim in claims:
                proof = verification_records(
                    claim.name, claim.token, self._world.book.domain_policy.cname_target
                )
                published.enter_context(self._world.dns.published_txt(proof.txt_name, proof.txt_value))
            yield
