"""The result of a benchmark case, and its JSON form."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from benchmarks.metrics import Figure
from benchmarks.workload import Sizes

_DERIVED = ("ratios", "reached")


@dataclass(frozen=True)
class CaseResult:
    """The figures of a case, in the order of the table, with the run and the machine of the measurement."""

    run: datetime
    """The start of the run; all cases of a run have the same value."""
    cores: int
    python: str
    sizes: Sizes
    seconds: float
    """The duration of this case."""
    figures: Sequence[Figure]


def to_json(measured: Mapping[str, CaseResult]) -> dict[str, Any]:
    """Return the results by case, including derived values for readers of the JSON file."""
    return {
        name: {
            **asdict(part),
            "run": part.run.isoformat(timespec="minutes"),
            "figures": [
                {**asdict(figure), **{each: getattr(figure, each) for each in _DERIVED}}
                for figure in part.figures
            ],
        }
        for name, part in measured.items()
    }


def from_json(document: Mapping[str, Any]) -> dict[str, CaseResult]:
    return {
        name: CaseResult(
            **{
                **part,
                "run": datetime.fromisoformat(part["run"]),
                "sizes": Sizes(**part["sizes"]),
                "figures": [
                    Figure(**{key: value for key, value in figure.items() if key not in _DERIVED})
                    for figure in part["figures"]
                ],
            }
        )
        for name, part in document.items()
    }
