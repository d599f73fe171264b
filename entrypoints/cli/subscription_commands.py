"""Commands that change a subscription: switch, renewal, upgrade, cancel, withdraw, rename, verify-domain."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.date_arguments import parse_day
from entrypoints.cli.errors import CommandError, ExitCode, usage_error
from entrypoints.cli.options import (
    DEFAULT_TIMEOUT,
    AsJson,
    CommandId,
    Date,
    Domain,
    Group,
    IssuedBy,
    Members,
    OptionalTerm,
    Plan,
    SubscriptionId,
    Term,
    Timeout,
)
from entrypoints.cli.output import console, print_status, prompt, show
from entrypoints.cli.request import parse_account
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from datetime import date as calendar_date

    from rich.console import RenderableType

    from subscription.catalogue import Term as CatalogueTerm
    from subscription.timeline import Answer

app = typer.Typer()
_PANEL = "Change a subscription"


@app.command(rich_help_panel=_PANEL)
def switch(
    subscription_id: SubscriptionId,
    date: Date,
    term: Term,
    plan: Plan = None,
    members: Members = None,
    command_id: CommandId = None,
    by: IssuedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Switch to a paid plan, today or on a later date."""
    from subscription.contract import ContractTerm

    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        day = parse_day(session, subscription_id, date)
        answer = session.run_client(
            lambda client: client.switch_to_paid(
                subscription_id,
                day,
                ContractTerm(term),
                plan=plan,
                members=members,
                **_metadata(command_id, by),
            )
        )
    _show_answer(as_json, answer)


@app.command(rich_help_panel=_PANEL)
def renewal(
    subscription_id: SubscriptionId,
    term: OptionalTerm = None,
    none: Annotated[
        bool, typer.Option("--none", help="No renewal option: a monthly contract follows.")
    ] = False,
    plan: Plan = None,
    members: Members = None,
    command_id: CommandId = None,
    by: IssuedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Choose the renewal option for the next contract, or none."""
    from subscription.contract import ContractTerm

    if none == (term is not None):
        raise usage_error("Specify either --term for the next contract, or --none.", field="term")
    if none and (plan is not None or members is not None):
        raise usage_error("--none cannot be combined with --plan or --members.", field="none")
    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        answer = session.run_client(
            lambda client: client.change_renewal_option(
                subscription_id,
                ContractTerm(term) if term else None,
                plan=plan,
                members=members,
                **_metadata(command_id, by),
            )
        )
    _show_answer(as_json, answer)


@app.command(rich_help_panel=_PANEL)
def upgrade(
    subscription_id: SubscriptionId,
    plan: Plan = None,
    members: Members = None,
    term: OptionalTerm = None,
    agree: Annotated[
        bool, typer.Option("--agree", help="Agree to the current terms of service without a prompt.")
    ] = False,
    command_id: CommandId = None,
    by: IssuedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Upgrade now: a higher plan, more members, or an annual instead of a monthly contract."""
    from subscription.contract import ContractTerm

    if plan is None and members is None and term is None:
        raise usage_error("Specify the upgrade: --plan, --members or --term.", field="plan")
    if not agree and not sys.stdin.isatty():
        raise usage_error(
            "An upgrade requires agreement to the current terms of service, which cannot be prompted for "
            "without a terminal.",
            field="agree",
            advice="To agree, add --agree.",
        )
    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        terms = session.run_client(lambda client: client.required_terms(subscription_id))
        if not agree:
            _prompt_for_agreement(terms)
        answer = session.run_client(
            lambda client: client.upgrade(
                subscription_id,
                [{"id": term.id, "version": term.version} for term in terms],
                plan=plan,
                members=members,
                term=ContractTerm(term) if term else None,
                **_metadata(command_id, by),
            )
        )
    _show_answer(as_json, answer)


@app.command(rich_help_panel=_PANEL)
def cancel(
    subscription_id: SubscriptionId,
    date: Date,
    confirm: Annotated[
        str | None,
        typer.Option(
            "--confirm", metavar="ACCOUNT", help="Confirmation: the full account, such as admin@acme."
        ),
    ] = None,
    command_id: CommandId = None,
    by: IssuedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Cancel today or on a later date. All data will be permanently deleted."""
    if confirm is None and not sys.stdin.isatty():
        raise usage_error(
            "A cancellation must be confirmed, which is not possible without a terminal.",
            field="confirm",
            advice="Specify the full account, as in --confirm admin@acme; `worksub status ID` shows it.",
        )
    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        day = parse_day(session, subscription_id, date)
        metadata: dict[str, Any] = {**_metadata(command_id, by)}
        if confirm is None:
            current = session.run_client(lambda client: client.current_state(subscription_id))
            metadata["expects"] = current.expected.model_dump(mode="json")
        confirmation = (
            confirm if confirm is not None else _prompt_for_confirmation(session, subscription_id, day)
        )
        answer = session.run_client(
            lambda client: client.cancel(subscription_id, day, confirmation, **metadata)
        )
    _show_answer(as_json, answer)


@app.command(rich_help_panel=_PANEL)
def withdraw(
    subscription_id: SubscriptionId,
    command_id: CommandId = None,
    by: IssuedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Withdraw a reserved switch or cancellation."""
    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        answer = session.run_client(
            lambda client: client.withdraw_reservation(subscription_id, **_metadata(command_id, by))
        )
    _show_answer(as_json, answer)


@app.command(rich_help_panel=_PANEL)
def rename(
    subscription_id: SubscriptionId,
    group: Group = None,
    domain: Domain = None,
    command_id: CommandId = None,
    by: IssuedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Change the group or domain name. A domain takes effect after its ownership is verified."""
    account = parse_account(group, domain)
    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        answer = session.run_client(
            lambda client: client.rename_account(subscription_id, account, **_metadata(command_id, by))
        )
    _show_answer(as_json, answer)


@app.command("verify-domain", rich_help_panel=_PANEL)
def verify_domain(
    subscription_id: SubscriptionId,
    command_id: CommandId = None,
    by: IssuedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Show the DNS records that verify the domain, and check them now."""
    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        proofs = session.run_client(lambda client: client.status(subscription_id)).proofs
        answer = session.run_client(
            lambda client: client.check_domain(subscription_id, **_metadata(command_id, by))
        )
        remaining = session.run_client(lambda client: client.status(subscription_id)).proofs

    def render() -> "RenderableType":
        from rich.console import Group as RenderGroup

        from entrypoints.cli.views.subscription import answer_view, verification_records_view

        return RenderGroup(verification_records_view(remaining), answer_view(answer))

    show(as_json, {**answer.model_dump(mode="json"), "proofs": proofs}, render)


def _metadata(command_id: str | None, by: str | None) -> dict[str, str]:
    return {name: value for name, value in (("id", command_id), ("by", by)) if value is not None}


def _show_answer(as_json: bool, answer: "Answer") -> None:
    def render() -> "RenderableType":
        from entrypoints.cli.views.subscription import answer_view

        return answer_view(answer)

    show(as_json, answer, render)


def _prompt_for_agreement(terms: "Iterable[CatalogueTerm]") -> None:
    print_status("An upgrade requires agreement to the current terms of service:")
    for term in terms:
        print_status(f"  {term.id}, version {term.version}")
    if prompt("Do you agree? Type yes or no: ").strip().lower() not in ("y", "yes"):
        raise CommandError(ExitCode.REFUSED, "TERMS_NOT_AGREED", "Not agreed, so nothing has changed.")


def _prompt_for_confirmation(session: Session, subscription_id: str, day: "calendar_date") -> str:
    from entrypoints.cli.views.billing import quote_view

    quote = session.run_client(lambda client: client.quote_cancellation(subscription_id, day))
    account = session.run_client(lambda client: client.status(subscription_id)).account
    console(stderr=True).print(quote_view(quote))
    print_status("All data will be permanently deleted.")
    return prompt(f"To confirm, type the account ({account}): ").strip()
