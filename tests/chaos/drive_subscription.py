"""Drive a planned subscription through the service while its servers fail."""

import asyncio
import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dev_stack.scenario_runner import set_members_in_use
from subscription.domain_verification import PendingDomain, verification_records
from subscription.scenario import (
    CONFIRM_DOMAIN,
    MEMBERS_IN_USE,
    Scenario,
    ScenarioStep,
    confirmation_in,
    read_scenario,
    reported_members,
    sample_request,
    with_default_arguments,
)

from .environment import ChaosEnvironment
from .planned_subscriptions import PlannedSubscription
from .polling import retry_while_unavailable

_CHECK_INTERVAL_SECONDS = 0.2


class Race:
    """The moment at which two subscriptions prove one domain: each waits for the other, or for its end."""

    def __init__(self) -> None:
        self._arrived = 0
        self._both = asyncio.Event()

    def arrive(self) -> None:
        self._arrived += 1
        if self._arrived >= 2:
            self._both.set()

    async def begin(self) -> None:
        self.arrive()
        await self._both.wait()


@dataclass
class SubscriptionRun:
    """The responses of one subscription: `answers` has a list for each step, with one response per copy."""

    planned: PlannedSubscription
    subscription_id: str = ""
    refused_rivals: list[str] = field(default_factory=list)
    requests: list[list[dict[str, Any]]] = field(default_factory=list)
    answers: list[list[dict[str, Any]]] = field(default_factory=list)
    is_over: bool = False
    doing: str = "waiting to begin"

    @property
    def scenario(self) -> Scenario:
        return read_scenario(self.planned.scenario)


class SubscriptionRunner:
    """Driver of one subscription, which records the responses."""

    def __init__(
        self,
        chaos_env: ChaosEnvironment,
        planned: PlannedSubscription,
        seed: int,
        race: Race | None = None,
    ) -> None:
        self.run_record = SubscriptionRun(planned)
        self._race = race
        self._env = chaos_env
        self._chance = random.Random(f"{seed}/{planned.number}/copies")
        self._scenario = self.run_record.scenario

    async def run(self) -> None:
        await self._request()
        id_, scenario = self.run_record.subscription_id, self._scenario
        clock = self._env.client.clock(id_)
        ahead = scenario.starts_at - await retry_while_unavailable(clock.now)
        for step in scenario.steps:
            await self._pass_to(step.at, ahead)
            self.run_record.doing = f"{step.command} at {step.at}"
            self.run_record.answers.append(await self._take(step))
        await self._pass_to(scenario.until, ahead)
        self.run_record.is_over = True

    async def _request(self) -> None:
        """Send the concurrent requests for one name, each in several copies; one is accepted (R5, R9)."""
        planned, scenario = self.run_record.planned, self._scenario
        self.run_record.doing = "requesting"
        bodies = []
        for rival in range(planned.rivals):
            sample = sample_request(scenario, self._env.book, planned.request_id(rival))
            bodies.append(
                {
                    **sample,
                    "customer_id": planned.customer_id,
                    "company_name": f"Company {planned.marker}",
                    "simulated_at": scenario.starts_at.isoformat(),
                }
            )
        self.run_record.requests = await asyncio.gather(*(self._send("request", body) for body in bodies))
        ids = [planned.subscription_id(rival) for rival in range(planned.rivals)]
        took = [
            id_ for id_, copies in zip(ids, self.run_record.requests, strict=True) if copies[0]["accepted"]
        ]
        self.run_record.subscription_id = took[0] if took else ids[0]
        self.run_record.refused_rivals = [id_ for id_ in ids if id_ not in took[:1]]

    async def _pass_to(self, moment: datetime, ahead: timedelta) -> None:
        """Advance the subscription's simulated clock, and process all deadlines that are due at that time."""
        client, id_ = self._env.client, self.run_record.subscription_id
        self.run_record.doing = f"its clock goes to {moment}"
        await retry_while_unavailable(lambda: client.clock(id_).advance_to(moment - ahead))
        self.run_record.doing = f"what is due at {moment}"
        await retry_while_unavailable(lambda: client.settle(id_, moment))

    async def _take(self, step: ScenarioStep) -> list[dict[str, Any]]:
        id_, book = self.run_record.subscription_id, self._env.book
        if step.command == MEMBERS_IN_USE:
            return await self._report_members(step)
        state = await retry_while_unavailable(lambda: self._env.client.snapshot(id_))
        if step.command == CONFIRM_DOMAIN:
            with self._proofs_published(state.pending_domains):
                if self._race:
                    await self._race.begin()
                return await self._confirmed(step)
        argument = with_default_arguments(step, book, confirmation_in(state))
        return await self._send(step.command, {**argument, "at": step.at.isoformat()})

    async def _report_members(self, step: ScenarioStep) -> list[dict[str, Any]]:
        async def report() -> None:
            async with self._env.owner() as owner:
                await set_members_in_use(owner, self.run_record.subscription_id, reported_members(step))

        await retry_while_unavailable(report)
        return [{"accepted": True, "code": None, "answer": None}]

    async def _confirmed(self, step: ScenarioStep) -> list[dict[str, Any]]:
        """Repeat the check until the DNS answers correctly: a false answer means "not yet" (R13)."""
        id_ = self.run_record.subscription_id
        checks = itertools.count()
        while True:
            # Each check has an ID; otherwise a check whose response was lost would be refused when repeated.
            argument = {
                "at": step.at.isoformat(),
                "id": f"look-{len(self.run_record.answers)}-{next(checks)}",
            }
            [answer] = await self._send("check_domain", argument, copies=1)
            state = await retry_while_unavailable(lambda: self._env.client.snapshot(id_))
            if not answer["accepted"] or not state.pending_domains:
                return [answer]
            await asyncio.sleep(_CHECK_INTERVAL_SECONDS)

    async def _send(self, command: str, argument: Any, copies: int | None = None) -> list[dict[str, Any]]:
        """Return the responses to copies of one command, sent concurrently from several processes."""
        copies = copies or self._chance.choice([1, 1, 1, 2, 3])
        client_processes = [self._chance.choice(self._env.client_processes) for _ in range(copies)]
        token = self._env.tokens.get(self.run_record.planned.customer_id)
        request = (
            client_process.send(command, argument, self.run_record.subscription_id, token)
            for client_process in client_processes
        )
        return list(await asyncio.gather(*request))

    @contextmanager
    def _proofs_published(self, pending_domains: Sequence[PendingDomain]) -> Iterator[None]:
        with ExitStack() as published:
            for domain in pending_domains:
                proof = verification_records(
                    domain.name, domain.token, self._env.book.domain_policy.cname_target
                )
                published.enter_context(self._env.dns.published_txt(proof.txt_name, proof.txt_value))
            yield
