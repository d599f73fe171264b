"""Terminal output at any width: nothing is truncated, and copyable values stay on one line."""

import io
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console, RenderableType
from rich.text import Text
from support.cli_runner import ROOT

from adapters.settings import DEFAULT_CATALOGUE, read_catalogue
from dev_stack.scenario_runner import simulate_by_rules
from entrypoints.cli.views.billing import ledger_table
from entrypoints.cli.views.layout import Indented
from entrypoints.cli.views.simulate import scenario_view
from entrypoints.cli.views.status import entitlements_text
from entrypoints.cli.views.subscription import list_table, verification_records_view
from entrypoints.cli.yaml_documents import read_documents
from starter.subscription_summary import SubscriptionSummary
from subscription.business_calendar import KST
from subscription.catalogue import LocalizedList, PriceBook
from subscription.domain_verification import verification_records
from subscription.entitlements import Entitlements
from subscription.scenario import ScenarioResult, read_scenario
from subscription.state import Access, State

SCENARIO = ROOT / "tests" / "examples" / "02-annual-cancelled-early.yaml"
SUBSCRIPTION = "d9a31f0d-37ec-563c-b621-a02a9ff03f97"


def rendered(part: RenderableType, width: int) -> list[str]:
    """Return the output lines for a terminal of this width."""
    output = io.StringIO()
    Console(file=output, width=width, markup=False, highlight=False).print(part, crop=False)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def simulated(file: Path) -> ScenarioResult:
    [document] = read_documents(file)
    book = PriceBook(versions=(read_catalogue(DEFAULT_CATALOGUE),))
    [subscription] = simulate_by_rules([read_scenario(document.fields)], book)
    return subscription


@pytest.mark.parametrize("width", [80, 100, 160])
def test_subscription_output_is_never_truncated(width: int) -> None:
    subscription = simulated(SCENARIO)
    lines = rendered(Indented(scenario_view(subscription)), width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    for line in subscription.ledger:
        for whole in (str(line.first_day), str(line.end_day), f"{line.amount:,}"):
            assert whole in text
    without_spaces = "".join(text.split())
    for entry in subscription.timeline:
        assert entry.event in without_spaces


def test_r36_entitlements_show_the_seats_and_locked_members() -> None:
    granted = Entitlements(
        subscription_id=SUBSCRIPTION,
        sequence=3,
        state=State.ACTIVE,
        access=Access.FULL,
        plan="basic",
        functions=LocalizedList(en=("Mail", "Calendar"), ko=("메일", "캘린더")),
        seats=10,
        members_in_use=12,
        locked_members=2,
    )
    text = Text.from_ansi(entitlements_text(granted, 80)).plain
    assert "Functions     Mail, Calendar" in text
    assert "Seats         12 of 10 used" in text
    assert "Locked        2 members, added last" in text
    # At 24 columns, 10 remain for a value.
    narrow = Text.from_ansi(entitlements_text(granted, 24)).plain
    assert "Functions     Mail,\n              Calendar\n" in narrow


def test_long_names_wrap_after_an_underscore() -> None:
    [*_, fee] = simulated(SCENARIO).ledger
    assert fee.kind == "EARLY_TERMINATION_FEE"
    # At 74 columns, 14 remain for Charge: the other columns and the gaps take 60.
    narrow = [line[:14].strip() for line in rendered(ledger_table([fee]), 74)]
    assert narrow[3:6] == ["EARLY_", "TERMINATION_", "FEE"]
    assert any(line.startswith("EARLY_TERMINATION_FEE  ") for line in rendered(ledger_table([fee]), 100))


@pytest.mark.parametrize(("width", "fits_in_a_line"), [(80, False), (100, False), (160, True)])
def test_list_shows_complete_ids(width: int, fits_in_a_line: bool) -> None:
    each = SubscriptionSummary(
        subscription_id=SUBSCRIPTION,
        customer_id="customer-48213",
        account_name="hanbit-books.example",
        state="TRIAL",
        access="RESTRICTED",
        plan="basic",
        members=25,
        term=None,
        trial_ends_at=datetime(2027, 1, 19, 10, tzinfo=KST),
        contract_to=None,
        reservation=None,
        reservation_date=None,
        next_deadline_at=datetime(2027, 1, 19, 10, tzinfo=KST),
        next_deadline="TRIAL_END",
    )
    lines = rendered(list_table([each]), width)
    begin = next(number for number, line in enumerate(lines) if SUBSCRIPTION in line)
    of_one = lines[begin:]
    assert (len(of_one) == 1) == fits_in_a_line
    for word in (
        "customer-48213",
        "hanbit-books.example",
        "TRIAL",
        "RESTRICTED",
        "basic",
        "25",
        "2027-01-19",
        "10:00",
    ):
        assert word in " ".join(of_one)


def test_dns_record_stays_on_one_line() -> None:
    proof = verification_records(
        f"{'long-' * 12}name.example", "0123456789abcdef" * 2, "verify.worksmobile.example"
    )
    *_, txt, cname, mx = rendered(Indented(verification_records_view([proof])), 80)
    assert txt == f"    {proof.txt_name} TXT {proof.txt_value}"
    assert cname == f"    {proof.cname_name} CNAME {proof.cname_target}"
    assert mx == f"    {proof.mx_name} MX {proof.mx_exchange}"


def test_indented_text_wraps_before_the_edge() -> None:
    assert rendered(Indented(Text("four five six\n\nend")), 11) == ["  four five", "  six", "", "  end"]
