"""A part of the bench as it was measured, and as it is kept in JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from benchmarks.metrics import Figure
from benchmarks.workload import Sizes

_WORKED_OUT = ("ratios", "reached")


@dataclass(frozen=True)
class Measured:
    """The lines of one part, in the order of the table, and in which run and on what they were measured."""

    run: datetime
    """When the run began; parts of one run have the same."""
    cores: int
    python: str
    sizes: Sizes
    seconds: float
    """Of this part."""
    figures: Sequence[Figure]


def to_json(measured: Mapping[str, Measured]) -> dict[str, Any]:
    """By part; with what is worked out from the values, for who reads it without this code."""
    return {
        name: {
            **asdict(part),
            "run": part.run.isoformat(timespec="minutes"),
            "figures": [
                {**asdict(figure), **{each: getattr(figure, each) for each in _WORKED_OUT}}
                for figure in part.figures
            ],
        }
        for name, part in measured.items()
    }


def from_json(document: Mapping[str, Any]) -> dict[str, Measured]:
    return {
        name: Measured(
            **{
                **part,
                "run": datetime.fromisoformat(part["run"]),
                "sizes": Sizes(**part["sizes"]),
                "figures": [
                    Figure(**{key: value for key, value in figure.items() if key not in _WORKED_OUT})
                    for figure in part["figures"]
                ],
            }
        )
        for name, part in document.items()
    }
