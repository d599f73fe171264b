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
    AskedBy,
    CommandId,
    Date,
    Domain,
    Group,
    Members,
    OptionalTerm,
    Plan,
    SubscriptionId,
    Term,
    Timeout,
)
from entrypoints.cli.output import console, print_status, prompt, show
from entrypoints.cli.request import account_named
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
    by: AskedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Switch to a paid plan, today or on a later date."""
    from subscription.contract import ContractTerm

    with Session(timeout=timeout) as session:
        subscription_id = session.subscription(subscription_id)
        day = parse_day(session, subscription_id, date)
        answer = session.ask(
            lambda client: client.switch_to_paid(
                subscription_id,
                day,
                ContractTerm(term),
                plan=plan,
                members=members,
                **_carried(command_id, by),
            )
        )
    _show_answer(as_json, answer)


@app.command(rich_help_panel=_PANEL)
def renewal(
    subscription_id: SubscriptionId,
    term: OptionalTerm = None,
    none: Annotated[bool, typer.Option("--none", help="No option: a monthly contract follows.")] = False,
    plan: Plan = None,
    members: Members = None,
    command_id: CommandId = None,
    by: AskedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Choose the terms of the next contract, or none."""
    from subscription.contract import ContractTerm

    if none == (term is not None):
        raise usage_error("Say either --term, for the next contract, or --none.", field="term")
    if none and (plan is not None or members is not None):
        raise usage_error("--none goes with neither --plan nor --members.", field="none")
    with Session(timeout=timeout) as session:
        subscription_id = session.subscription(subscription_id)
        answer = session.ask(
            lambda client: client.change_renewal_option(
                subscription_id,
                ContractTerm(term) if term else None,
                plan=plan,
                members=members,
                **_carried(command_id, by),
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
        bool, typer.Option("--agree", help="Agree to the current terms of service without being asked.")
    ] = False,
    command_id: CommandId = None,
    by: AskedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Upgrade now: a higher plan, more members, an annual contract in place of a monthly one."""
    from subscription.contract import ContractTerm

    if plan is None and members is None and term is None:
        raise usage_error("Say what is to go up: --plan, --members or --term.", field="plan")
    if not agree and not sys.stdin.isatty():
        raise usage_error(
            "An upgrade agrees to the current terms of service, and there is no terminal to ask at.",
            field="agree",
            advice="Agree with --agree.",
        )
    with Session(timeout=timeout) as session:
        subscription_id = session.subscription(subscription_id)
        terms = session.ask(lambda client: client.required_terms(subscription_id))
        if not agree:
            _ask_to_agree(terms)
        answer = session.ask(
            lambda client: client.upgrade(
                subscription_id,
                [{"id": term.id, "version": term.version} for term in terms],
                plan=plan,
                members=members,
                term=ContractTerm(term) if term else None,
                **_carried(command_id, by),
            )
        )
    _show_answer(as_json, answer)


@app.command(rich_help_panel=_PANEL)
def cancel(
    subscription_id: SubscriptionId,
    date: Date,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="ACCOUNT", help="The account in full, as admin@acme, to confirm."),
    ] = None,
    command_id: CommandId = None,
    by: AskedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Cancel, today or on a later date. All data will be permanently deleted."""
    if confirm is None and not sys.stdin.isatty():
        raise usage_error(
            "Cancelling must be confirmed, and there is no terminal to ask at.",
            field="confirm",
            advice="Give the account in full, as in --confirm admin@acme; `worksub status ID` shows it.",
        )
    with Session(timeout=timeout) as session:
        subscription_id = session.subscription(subscription_id)
        day = parse_day(session, subscription_id, date)
        carried: dict[str, Any] = {**_carried(command_id, by)}
        if confirm is None:
            seen = session.ask(lambda client: client.standing(subscription_id))
            carried["expects"] = seen.expected.model_dump(mode="json")
        confirmation = confirm if confirm is not None else _ask_to_confirm(session, subscription_id, day)
        answer = session.ask(lambda client: client.cancel(subscription_id, day, confirmation, **carried))
    _show_answer(as_json, answer)


@app.command(rich_help_panel=_PANEL)
def withdraw(
    subscription_id: SubscriptionId,
    command_id: CommandId = None,
    by: AskedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Withdraw what is reserved: a switch or a cancellation."""
    with Session(timeout=timeout) as session:
        subscription_id = session.subscription(subscription_id)
        answer = session.ask(
            lambda client: client.withdraw_reservation(subscription_id, **_carried(command_id, by))
        )
    _show_answer(as_json, answer)


@app.command(rich_help_panel=_PANEL)
def rename(
    subscription_id: SubscriptionId,
    group: Group = None,
    domain: Domain = None,
    command_id: CommandId = None,
    by: AskedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Change the group name or the domain name; a domain takes effect when its ownership is proved."""
    account = account_named(group, domain)
    with Session(timeout=timeout) as session:
        subscription_id = session.subscription(subscription_id)
        answer = session.ask(
            lambda client: client.rename_account(subscription_id, account, **_carried(command_id, by))
        )
    _show_answer(as_json, answer)


@app.command("verify-domain", rich_help_panel=_PANEL)
def verify_domain(
    subscription_id: SubscriptionId,
    command_id: CommandId = None,
    by: AskedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Show the DNS records that prove the domain, and look for them now."""
    with Session(timeout=timeout) as session:
        subscription_id = session.subscription(subscription_id)
        proofs = session.ask(lambda client: client.status(subscription_id)).proofs
        answer = session.ask(lambda client: client.check_domain(subscription_id, **_carried(command_id, by)))
        awaited = session.ask(lambda client: client.status(subscription_id)).proofs

    def for_people() -> "RenderableType":
        from rich.console import Group as Together

        from entrypoints.cli.views.tables import answer_view, proofs_view

        return Together(proofs_view(awaited), answer_view(answer))

    show(as_json, {**answer.model_dump(mode="json"), "proofs": proofs}, for_people)


def _carried(command_id: str | None, by: str | None) -> dict[str, str]:
    return {name: value for name, value in (("id", command_id), ("by", by)) if value is not None}


def _show_answer(as_json: bool, answer: "Answer") -> None:
    from entrypoints.cli.views.tables import answer_view

    show(as_json, answer, lambda: answer_view(answer))


def _ask_to_agree(terms: "Iterable[CatalogueTerm]") -> None:
    print_status("An upgrade agrees to the current terms of service:")
    for term in terms:
        print_status(f"  {term.id} in version {term.version}")
    if prompt("Do you agree? Type yes or no: ").strip().lower() not in ("y", "yes"):
        raise CommandError(ExitCode.REFUSED, "TERMS_NOT_AGREED", "Not agreed, so nothing has changed.")


def _ask_to_confirm(session: Session, subscription_id: str, day: "calendar_date") -> str:
    from entrypoints.cli.views.tables import quote_view

    quote = session.ask(lambda client: client.quote_cancellation(subscription_id, day))
    account = session.ask(lambda client: client.status(subscription_id)).account
    console(stderr=True).print(quote_view(quote))
    print_status("All data will be permanently deleted.")
    return prompt(f"To confirm, type the account ({account}): ").strip()
