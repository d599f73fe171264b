"""Views of a status and of entitlements: text without Rich, whose import takes longer than the query."""

import textwrap
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import typer

from entrypoints.cli.views.formatting import (
    NONE,
    STATE_STYLES,
    format_attention,
    format_deadline,
    format_time,
)
from subscription.business_calendar import KST
from subscription.labels import renewal_label, reservation_label
from subscription.messages import PLAIN, format_message
from subscription.state import Access, State

if TYPE_CHECKING:
    from subscription.attention import ShownAttention
    from subscription.domain_verification import VerificationRecords
    from subscription.entitlements import Entitlements
    from subscription.status import Status


def status_text(status: "Status", attention: "ShownAttention | None", width: int) -> str:
    text = _fields(_status_fields(status, attention), width)
    return f"{text}\n{verification_records_text(status.proofs)}" if status.proofs else text


def _status_fields(status: "Status", attention: "ShownAttention | None") -> Iterator[tuple[str, str]]:
    yield "Subscription", status.subscription_id
    yield "Customer", status.customer_id
    yield "State", _styled_state(status.state)
    yield "Access", status.access + _access_advice(status)
    yield "Account", status.account or NONE
    yield "Plan", f"{status.plan}, {PLAIN.members(status.members)}"
    if contract := status.contract:
        yield "Contract", f"{contract.term}, {contract.first_day} to {contract.end_day}"
        yield "Renewal", format_message(renewal_label(status.renewal))
    else:
        yield "Trial ends", format_time(status.trial_ends_at)
        yield "Grace ends", format_time(status.grace_ends_at)
    yield "Reserved", format_message(reservation_label(status.reservation))
    yield "Next", format_deadline(status.next)
    if attention:
        yield "Needs attention", typer.style(format_attention(attention, datetime.now(KST)), fg="red")
        yield "Next step", attention.advice


def entitlements_text(granted: "Entitlements", width: int) -> str:
    fields = [
        ("Subscription", granted.subscription_id),
        ("State", _styled_state(granted.state)),
        ("Access", granted.access),
        ("Plan", granted.plan),
        ("Functions", ", ".join(granted.functions.en) if granted.functions else NONE),
        ("Seats", f"{granted.members_in_use:,} of {granted.seats:,} used"),
    ]
    if granted.locked_members:
        fields.append(("Locked", f"{PLAIN.members(granted.locked_members)}, added last"))
    return _fields(fields, width)


def _access_advice(status: "Status") -> str:
    if status.access is Access.RESTRICTED:
        return " (verify the domain)"
    if status.domain_lost and status.state.accepts_commands:
        return " (the domain was verified elsewhere first: rename the account)"
    return ""


def verification_records_text(proofs: "Iterable[VerificationRecords]") -> str:
    """Return the DNS records, one of which must be published."""
    lines: list[str] = []
    for proof in proofs:
        lines += [
            f"To verify {proof.domain}, publish one of these records:",
            f"  {proof.txt_name} TXT {proof.txt_value}",
            f"  {proof.cname_name} CNAME {proof.cname_target}",
            f"  {proof.mx_name} MX {proof.mx_exchange}",
        ]
    return "\n".join(lines)


def _styled_state(state: State) -> str:
    style = STATE_STYLES.get(state)
    return typer.style(state, dim=True) if style == "dim" else typer.style(state, fg=style)


def _fields(fields: Iterable[tuple[str, str]], width: int) -> str:
    """Return one line for each field, and more where its value does not fit into the width."""
    rows = list(fields)
    indent = max(len(label) for label, _ in rows) + 2
    lines: list[str] = []
    for label, value in rows:
        first, *others = textwrap.wrap(
            value, width - indent, break_long_words=False, break_on_hyphens=False
        ) or [""]
        lines.append(typer.style(label, bold=True) + " " * (indent - len(label)) + first)
        lines += [" " * indent + line for line in others]
    return "\n".join(lines)
