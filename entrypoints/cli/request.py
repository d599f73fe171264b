"""`worksub check-name`, `worksub request` and `worksub hash-password`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.errors import check_standard_input, refusal, usage_error
from entrypoints.cli.options import DEFAULT_TIMEOUT, AsJson, Domain, Group, Timeout
from entrypoints.cli.output import print_status, show
from entrypoints.cli.session import Session
from subscription.password_hash_policy import PLACEHOLDER

if TYPE_CHECKING:
    from rich.console import RenderableType

    from subscription.account import Account
    from subscription.refusals import Problem, Refusal
    from subscription.state import State
    from subscription.timeline import RequestAnswer

app = typer.Typer()
_PANEL = "Request a subscription"

_ATTEMPTS = 3
_NO_TERMINAL_ADVICE = "Pipe it to standard input with --password-stdin."

# Fields that a request file must not contain, with the reason. The service validates all other fields.
_FORBIDDEN_IN_FILES = {
    "password": "NOT_FOR_A_FILE",
    "password_hash": "NOT_FOR_A_FILE",
    "simulated_at": "FOR_SIMULATIONS",
}


@app.command("check-name", rich_help_panel=_PANEL)
def check_name(group: Group = None, domain: Domain = None, as_json: AsJson = False) -> None:
    """Check whether a name is available. Checking does not reserve it."""
    account = parse_account(group, domain)
    with Session() as session:
        name = session.run_query(lambda queries: queries.check_name(account))
    result = {
        "AVAILABLE": "is available",
        "CLAIMED": "is available; others claim it too, and the first one to verify it has it",
        "TAKEN": "is already taken; choose another name",
    }[name.status]
    show(as_json, name, lambda: f"The {name.kind.lower()} name {name.name} {result}.")


@app.command(rich_help_panel=_PANEL)
def request(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="YAML file such as examples/request.yaml; - is standard input."),
    ],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the administrator's password from standard input.")
    ] = False,
    contact_email: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Second recipient of notices, instead of the file's."),
    ] = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Request a subscription. The free trial starts immediately, or all problems are listed."""
    from adapters.password_hashing import hashed
    from entrypoints.cli import password_input

    check_standard_input({"FILE": str(file) == "-", "--password-stdin": password_stdin})
    if not password_stdin and not sys.stdin.isatty():
        raise usage_error(
            "The administrator's password cannot be typed without a terminal.",
            field="password",
            advice=_NO_TERMINAL_ADVICE,
        )
    fields = _fields_of(file)
    if contact_email is not None:
        fields = {**fields, "contact_email": contact_email}
    password_hash, problems = None, _file_problems(fields)
    if password_stdin:
        password, password_problems = password_input.read_password_from_stdin()
        password_hash, problems = hashed(password), (*problems, *password_problems)
    with Session(timeout=timeout) as session:
        request_fields = {name: value for name, value in fields.items() if name not in _FORBIDDEN_IN_FILES}
        refused = session.run_client(
            lambda client: client.check_request({**request_fields, "password_hash": PLACEHOLDER})
        )
        if refused or problems:
            raise refusal(_merge(refused, problems))
        complete = {**request_fields, "password_hash": password_hash or _prompt_for_hash()}
        answer = session.run_client(lambda client: client.request(complete))
        state = session.run_client(lambda client: client.status(answer.subscription_id)).state
    show(as_json, answer, lambda: _answer_message(answer, state))


@app.command("hash-password", rich_help_panel=_PANEL)
def hash_password(
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the Argon2id hash of an administrator's password for the HTTP API. Nothing is sent."""
    from adapters.password_hashing import hashed
    from entrypoints.cli import password_input

    if password_stdin:
        password, problems = password_input.read_password_from_stdin()
        if problems:
            raise refusal(_merge(None, problems))
        password_hash = hashed(password)
    elif sys.stdin.isatty():
        password_hash = _prompt_for_hash()
    else:
        raise usage_error(
            "The password cannot be typed without a terminal.",
            field="password",
            advice=_NO_TERMINAL_ADVICE,
        )
    show(as_json, {"password_hash": password_hash}, lambda: _unwrapped(password_hash))


def _unwrapped(text: str) -> "RenderableType":
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ignore")


def _answer_message(answer: "RequestAnswer", state: "State") -> str:
    """Return the answer to a request; for a repeated request, also the current state."""
    started = f"The free trial has started; it ends on {answer.trial_ends_at:%Y-%m-%d at %H:%M} KST."
    lines = [
        "This request was accepted before. Its subscription has ended." if state.is_terminal else started
    ]
    if state is not answer.state:
        lines.append(f"The request was accepted earlier. The state is now {state}.")
    if state.is_terminal:
        lines.append("To request another subscription, change the request_id.")
    lines.append(f"Subscription ID: {answer.subscription_id}")
    lines.append(f"To show it: worksub status {answer.subscription_id}")
    return "\n".join(lines)


def parse_account(group: str | None, domain: str | None) -> "Account":
    """Return the account for the options; raise `CommandError` if its name is invalid (R4)."""
    from pydantic import ValidationError

    from subscription.account import AccountName
    from subscription.refusals import Refusal, RefusalCode
    from subscription.validation import parse_strict, problems_from

    if (group is None) == (domain is None):
        raise usage_error("Specify either --group or --domain.", field="group")
    try:
        return parse_strict(AccountName, {"group": group, "domain": domain}).account
    except ValidationError as error:
        problems = problems_from(error)
        raise refusal(Refusal.of_problems(RefusalCode(problems[0].code), problems)) from None


def _fields_of(file: Path) -> Mapping[str, Any]:
    from entrypoints.cli.yaml_documents import DocumentError, read_documents

    try:
        documents = read_documents(file)
    except DocumentError as error:
        raise usage_error(
            str(error), field="FILE", advice="For the format, see examples/request.yaml."
        ) from None
    if len(documents) > 1:
        raise usage_error(
            f"{file} has {len(documents)} requests (separated by ---). Send them one at a time."
        )
    return documents[0].fields


def _file_problems(fields: Mapping[str, Any]) -> "tuple[Problem, ...]":
    from subscription.refusals import Problem, RefusalCode

    return tuple(
        Problem.of(RefusalCode.UNKNOWN_FIELD, name, reason=reason)
        for name, reason in _FORBIDDEN_IN_FILES.items()
        if name in fields
    )


def _merge(refused: "Refusal | None", problems: "tuple[Problem, ...]") -> "Refusal":
    """Return one refusal with the problems of both."""
    from subscription.refusals import Refusal, RefusalCode

    if refused and not problems:
        return refused
    problems = (*(refused.problems if refused else ()), *problems)
    return Refusal.of_problems(RefusalCode.REQUEST_REFUSED, problems)


def _prompt_for_hash() -> str:
    """Prompt until a valid password is typed twice, at most three times; return its hash."""
    from adapters.password_hashing import hashed
    from entrypoints.cli import password_input

    print_status("Use 8 to 40 characters with an uppercase letter, a lowercase letter and a digit.")
    for _ in range(_ATTEMPTS):
        password, problems = password_input.prompt_for_password()
        if not problems:
            return hashed(password)
        for problem in problems:
            print_status(problem.message)
    raise refusal(_merge(None, problems))
