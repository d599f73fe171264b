"""Generated subscriptions of a chaos run: the same for the same seed, each with unique names."""

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from property.oracle import KST, as_instant
from property.scenario_strategies import scenarios

from adapters.settings import DEFAULT_CATALOGUE
from starter.caller import Caller
from starter.requests import subscription_id_for
from subscription.commands import expand_null
from subscription.scenario import CONFIRM_DOMAIN, LOSE_DOMAIN, MEMBERS_IN_USE

CATALOGUE_TEXT = DEFAULT_CATALOGUE.read_text(encoding="utf-8").replace("per_customer = 3", "")
"""The repository's catalogue without a limit of trials: customers here have many subscriptions."""
CATALOGUE: dict[str, Any] = tomllib.loads(CATALOGUE_TEXT)

_AT_ONCE = 50
_FIRST_SQUATTER = 1_000_000
# An unverified domain is checked hundreds of times a year, so only a few have one, and for a short time.
_ONE_IN_SO_MANY_HAS_A_DOMAIN = 8
_LONGEST_UNVERIFIED = timedelta(hours=6)
_RENAMED, _RIVALLED = 0.2, 0.15

API_CUSTOMERS = ("api-customer-1", "api-customer-2", "api-customer-3")
"""The customers with an API key and a webhook endpoint, each with several subscriptions."""
_BY_API = 0.5


@dataclass(frozen=True)
class PlannedSubscription:
    """A scenario with a unique name, and the number of concurrent requests for that name (R5).

    `marker` is a word in every personal datum of this subscription, and in nothing else. `api_customer` is
    the customer that requests and controls it over HTTP; None if its clients use Temporal. `squatter` claims
    the same domain: both publish their proofs and check at the same moment, and one of them wins (R12).
    """

    number: int
    marker: str
    scenario: dict[str, Any]
    rivals: int
    api_customer: str | None
    squatter: "PlannedSubscription | None" = None

    @property
    def customer_id(self) -> str:
        return self.api_customer or f"customer-{self.number}"

    def stored_id(self, id_: str) -> str:
        """Return the stored form of an ID that the clients of this subscription have chosen."""
        return Caller(self.api_customer).scoped(id_)

    def request_id(self, rival: int) -> str:
        return f"chaos-{self.number}-{rival}"

    def subscription_id(self, rival: int) -> str:
        return subscription_id_for(self.stored_id(self.request_id(rival)))

    def command_id(self, place: int) -> str:
        return self.stored_id(f"{self.number}-{place}")

    def chose(self, command_id: str) -> bool:
        """Return whether it is one of these IDs; a command without an ID has that of its update."""
        return command_id in (self.command_id(place) for place in range(len(self.scenario["steps"])))


def planned_subscriptions(seed: int) -> Iterator[PlannedSubscription]:
    """Yield subscriptions without end: the n-th is the same for the same seed."""
    number = 0
    batch = 0
    while True:
        for scenario in _drawn(seed * 1000 + batch):
            yield _planned(seed, number, scenario)
            number += 1
        batch += 1


def _drawn(seed: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []

    @seeded(seed)
    @settings(
        max_examples=_AT_ONCE + 1,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(scenarios(CATALOGUE))
    def draw(scenario: dict[str, Any]) -> None:
        made.append(scenario)

    draw()
    return made[1:]  # the first example of Hypothesis is the simplest one


def _planned(seed: int, number: int, scenario: dict[str, Any]) -> PlannedSubscription:
    chance = random.Random(f"{seed}/{number}")
    marker = f"zq{number}q"
    has_domain = number % _ONE_IN_SO_MANY_HAS_A_DOMAIN == 0
    account = {"domain": f"{marker}.example"} if has_domain else {"group": marker}
    # Only a squatter takes the domain of a subscription.
    steps = [step for step in scenario["steps"] if LOSE_DOMAIN not in step]
    squatter = None
    if has_domain:
        steps = [step for step in steps if CONFIRM_DOMAIN not in step]
        proved_at = as_instant(scenario["request"]["at"]) + _LONGEST_UNVERIFIED
        _add(steps, proved_at, CONFIRM_DOMAIN, {})
        squatter = _squatter(number, account, {**scenario["request"]}, proved_at)
    elif steps and chance.random() < _RENAMED:
        for attempt in range(chance.choice([1, 2])):
            moment = as_instant(chance.choice(steps)["at"])
            _add(steps, moment, "rename_account", {"group": f"{marker}-{attempt}"})
    until = max(as_instant(scenario["until"]), *(as_instant(step["at"]) for step in steps), _EARLIEST)
    return PlannedSubscription(
        number=number,
        marker=marker,
        scenario={
            "name": f"subscription {number}",
            "request": {**scenario["request"], "account": account, "admin_id": f"admin.{marker}"},
            "steps": [_identified(step, number, place, marker) for place, step in enumerate(steps)],
            "until": until.isoformat(),
        },
        rivals=chance.choice([2, 3]) if chance.random() < _RIVALLED and not has_domain else 1,
        api_customer=_api_customer(random.Random(f"{seed}/{number}/caller")),
        squatter=squatter,
    )


def _squatter(
    number: int, account: dict[str, str], request: dict[str, Any], proved_at: datetime
) -> PlannedSubscription:
    """Return a subscription that claims the same domain, proves it at the same time, and is then canceled."""
    own = _FIRST_SQUATTER + number
    marker = f"zq{own}q"
    cancel = {"date": proved_at.astimezone(KST).date().isoformat(), "id": f"{own}-1"}
    return PlannedSubscription(
        number=own,
        marker=marker,
        scenario={
            "name": f"squatter {number}",
            "request": {**request, "account": account, "admin_id": f"admin.{marker}"},
            "steps": [
                {"at": proved_at.isoformat(), CONFIRM_DOMAIN: {}},
                {"at": proved_at.isoformat(), "cancel": cancel},
            ],
            "until": proved_at.isoformat(),
        },
        rivals=1,
        api_customer=None,
    )


def _api_customer(chance: random.Random) -> str | None:
    return chance.choice(API_CUSTOMERS) if chance.random() < _BY_API else None


_EARLIEST = datetime.fromisoformat("2000-01-01T00:00:00+09:00")


def _add(steps: list[dict[str, Any]], moment: datetime, command: str, argument: Any) -> None:
    """Insert a step after those that are not later."""
    place = sum(as_instant(step["at"]) <= moment for step in steps)
    steps.insert(place, {"at": moment.isoformat(), command: argument})


def _identified(step: dict[str, Any], number: int, place: int, marker: str) -> dict[str, Any]:
    """Return the step with a command ID for repetitions and with the caller's name."""
    [command] = [key for key in step if key != "at"]
    argument = expand_null(command, step[command])
    if isinstance(argument, dict) and command not in (CONFIRM_DOMAIN, MEMBERS_IN_USE):
        # A domain check is repeated until the DNS answers correctly, each time with a new ID.
        argument = {**argument, "id": f"{number}-{place}", "by": f"clerk {marker}"}
    return {"at": step["at"], command: argument}
