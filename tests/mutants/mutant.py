"""One planted fault, and the list of all of them in `mutants.toml`."""

import tomllib
from pathlib import Path
from typing import NamedTuple

LIST = Path(__file__).with_name("mutants.toml")


class DoesNotApplyError(Exception):
    """The text that a mutant replaces is not in its file, or is there more than once."""


class Mutant(NamedTuple):
    name: str
    why: str
    file: str
    before: str
    after: str
    test: str

    def applied_to(self, text: str) -> str:
        """Return the text of the file with the fault in it."""
        found = text.count(self.before)
        if found != 1:
            raise DoesNotApplyError(f"{self.file} has its text {found} times, and must have it once")
        return text.replace(self.before, self.after)


def read_mutants(file: Path = LIST) -> list[Mutant]:
    return [Mutant(**entry) for entry in tomllib.loads(file.read_text(encoding="utf-8"))["mutant"]]
