"""The corpus: for each release a directory with one file per scenario, and the checksums of the files.

Files are only added, because customers' subscriptions keep such histories until their erasure.
"""

import hashlib
import json
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import WorkflowHistory

CORPUS = Path(__file__).with_name("corpus")
CHECKSUMS = "SHA256SUMS"
COMMANDS = "commands.txt"

_SUFFIX = ".json.xz"


@dataclass(frozen=True)
class RecordedScenario:
    """One scenario as recorded by a release; its runs are in the order of their starts."""

    release: str
    name: str
    runs: tuple[WorkflowHistory, ...]

    def __str__(self) -> str:
        return f"{self.release}/{self.name}"


def releases() -> list[str]:
    """Return the recorded releases, oldest first."""
    return sorted((entry.name for entry in CORPUS.iterdir() if entry.is_dir()), key=_numbers)


def scenario_files(release: str) -> list[Path]:
    return sorted((CORPUS / release).glob(f"*{_SUFFIX}"))


def recorded_scenarios(release: str) -> list[RecordedScenario]:
    return [read_scenario(file) for file in scenario_files(release)]


def read_scenario(file: Path) -> RecordedScenario:
    document = json.loads(lzma.decompress(file.read_bytes()))
    runs = [WorkflowHistory.from_json(run.pop("workflow_id"), run) for run in document["runs"]]
    return RecordedScenario(file.parent.name, file.name.removesuffix(_SUFFIX), tuple(runs))


def write(directory: Path, name: str, runs: Sequence[WorkflowHistory]) -> None:
    """Write the file of a scenario, without data about the machine that recorded it."""
    document = {"runs": [{"workflow_id": run.workflow_id, **_anonymous(run.to_json_dict())} for run in runs]}
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (directory / f"{name}{_SUFFIX}").write_bytes(lzma.compress(text.encode()))


def write_checksums(directory: Path) -> None:
    """Write the checksums in the format of `sha256sum --check SHA256SUMS`."""
    lines = [f"{checksum}  {name}\n" for name, checksum in checksums_of(directory).items()]
    (directory / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def checksums_of(directory: Path) -> dict[str, str]:
    """Return the actual checksums by file name."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(directory.iterdir())
        if file.name != CHECKSUMS
    }


def promised_checksums(directory: Path) -> dict[str, str]:
    """Return the expected checksums by file name."""
    lines = (directory / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    return {name: checksum for checksum, name in (line.split("  ", 1) for line in lines)}


def _anonymous(part: dict[str, object]) -> dict[str, object]:
    """Return the history without stack traces, which have file names of the machine."""
    cleaned: dict[str, object] = json.loads(
        json.dumps(part), object_hook=lambda found: {k: v for k, v in found.items() if k != "stackTrace"}
    )
    return cleaned


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in release.split("."))
