"""The report of a run: as text, as JSON, and as the table in the documentation."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

_TABLE = re.compile(r"(<!-- chaos: [^>]*-->\n).*?(\n<!-- /chaos -->)", re.DOTALL)


@dataclass(frozen=True)
class Report:
    """The results of a run; `differences` are sentences, and empty if every check passed."""

    seed: int
    seconds: int
    subscriptions: int
    subscriptions_by_api: int
    refused_rivals: int
    erased: int
    commands_accepted: int
    commands_refused: int
    copies: int
    transitions: int
    lines: int
    charged: int
    runs: int
    webhooks_delivered: int
    webhooks_repeated: int
    faults: Mapping[str, int]
    differences: tuple[str, ...]

    @property
    def figures(self) -> dict[str, str]:
        return {
            "seed": f"{self.seed}",
            "minutes": f"{self.seconds / 60:.1f}",
            "subscriptions": f"{self.subscriptions:,}, of which {self.erased:,} were cancelled and erased",
            "controlled over HTTP": f"{self.subscriptions_by_api:,}",
            "requests refused because the name was taken": f"{self.refused_rivals:,}",
            "commands accepted, refused": f"{self.commands_accepted:,}, {self.commands_refused:,}",
            "copies of requests and commands, from other processes": f"{self.copies:,}",
            "transitions recorded": f"{self.transitions:,}",
            "ledger lines": f"{self.lines:,}, of {self.charged:,} KRW",
            "workflow runs still readable": f"{self.runs:,}",
            "webhooks delivered, delivered again": (
                f"{self.webhooks_delivered:,}, {self.webhooks_repeated:,}"
            ),
            **{kind: f"{count:,}" for kind, count in self.faults.items()},
            "differences from the rules": f"{len(self.differences):,}",
        }

    def in_words(self) -> str:
        width = max(map(len, self.figures))
        return "\n".join(
            [
                *(f"{what:<{width}}  {figure}" for what, figure in self.figures.items()),
                *self.differences,
                f"CHAOS_SEED={self.seed} make chaos   # does the same again",
            ]
        )

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def written_into(self, page: str) -> str:
        """Return the page with the figures between its two comments."""
        rows = ["| | |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in self.figures.items())]
        return _TABLE.sub(lambda place: place[1] + "\n".join(rows) + place[2], page)
