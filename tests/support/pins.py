"""The packages that constraints.txt and the files in requirements/ pin, with their hashes."""

from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.markdown_pages import page


@dataclass(frozen=True)
class Pin:
    requirement: Requirement
    hashes: frozenset[str]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        [specifier] = self.requirement.specifier
        assert specifier.operator == "=="
        return specifier.version

    @property
    def is_for_here(self) -> bool:
        """Return whether the package is installed on this system; other systems need additional packages."""
        return self.requirement.marker is None or self.requirement.marker.evaluate()


def pins_of(file: str) -> list[Pin]:
    return list(_pins(page(file)))


def _pins(text: str) -> Iterator[Pin]:
    for line in text.replace("\\\n", " ").splitlines():
        if not line.startswith("#"):
            required, *hashes = line.split("--hash=")
            yield Pin(Requirement(required.strip()), frozenset(each.strip() for each in hashes))
