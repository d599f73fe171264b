"""`worksub check-name` and `worksub request`."""

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

    from subscription.refusals import Problem, Refusal
    from subscription.request import Account
    from subscription.state import State
    from subscription.timeline import RequestAnswer

app = typer.Typer()
_PANEL = "Request a subscription"

_ATTEMPTS = 3
_WITHOUT_A_TERMINAL = "Pipe it in with --password-stdin."

# What a request says beside these, the service refuses by itself.
_NOT_FOR_A_FILE = {
    "password": "NOT_FOR_A_FILE",
    "password_hash": "HASH_NOT_FOR_A_FILE",
    "simulated_at": "FOR_SIMULATIONS",
}


@app.command("check-name", rich_help_panel=_PANEL)
def check_name(group: Group = None, domain: Domain = None, as_json: AsJson = False) -> None:
    """Say whether a name is free. Checking takes nothing; only a request takes a name."""
    account = account_named(group, domain)
    with Session() as session:
        found = session.read(lambda record: record.check_name(account))
    words = "is free" if found.available else "is taken; choose another name"
    show(as_json, found, lambda: f"The {found.kind.lower()} name {found.name} {words}.")


@app.command(rich_help_panel=_PANEL)
def request(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="YAML, as examples/request.yaml; - is standard input."),
    ],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the administrator's password from standard input.")
    ] = False,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Request a subscription. Its free trial starts at once, or you hear exactly what is wrong."""
    from adapters.password_hashing import hashed
    from entrypoints.cli import password_input

    check_standard_input({"FILE": str(file) == "-", "--password-stdin": password_stdin})
    if not password_stdin and not sys.stdin.isatty():
        raise usage_error(
            "There is no terminal at which to type the administrator's password.",
            field="password",
            advice=_WITHOUT_A_TERMINAL,
        )
    fields = _fields_of(file)
    password_hash, problems = None, _problems_of_a_file(fields)
    if password_stdin:
        password, password_problems = password_input.from_standard_input()
        password_hash, problems = hashed(password), (*problems, *password_problems)
    with Session(timeout=timeout) as session:
        asked = {name: value for name, value in fields.items() if name not in _NOT_FOR_A_FILE}
        refused = session.ask(lambda client: client.check_request({**asked, "password_hash": PLACEHOLDER}))
        if refused or problems:
            raise refusal(_run_all(refused, problems))
        typed = {**asked, "password_hash": password_hash or _hash_of_what_is_typed()}
        answer = session.ask(lambda client: client.request(typed))
        state = session.ask(lambda client: client.status(answer.subscription_id)).state
    show(as_json, answer, lambda: _answer_in_words(answer, state))


@app.command("hash-password", rich_help_panel=_PANEL)
def hash_password(
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the Argon2id hash of an administrator's password, as the API takes it. Nothing is sent."""
    from adapters.password_hashing import hashed
    from entrypoints.cli import password_input

    if password_stdin:
        password, problems = password_input.from_standard_input()
        if problems:
            raise refusal(_run_all(None, problems))
        password_hash = hashed(password)
    elif sys.stdin.isatty():
        password_hash = _hash_of_what_is_typed()
    else:
        raise usage_error(
            "There is no terminal at which to type the password.",
            field="password",
            advice=_WITHOUT_A_TERMINAL,
        )
    show(as_json, {"password_hash": password_hash}, lambda: _on_one_line(password_hash))


def _on_one_line(text: str) -> "RenderableType":
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ignore")


def _answer_in_words(answer: "RequestAnswer", state: "State") -> str:
    """The first answer; where the request was sent before, what has become of it since."""
    started = f"The free trial has started; it ends on {answer.trial_ends_at:%Y-%m-%d at %H:%M} KST."
    words = ["This request was accepted before. Its subscription has ended." if state.over else started]
    if state is not answer.state:
        words.append(f"That was some time ago: it is {state} now.")
    if state.over:
        words.append("To request another subscription, change the request_id.")
    words.append(f"The subscription's id: {answer.subscription_id}")
    words.append(f"To see it: worksub status {answer.subscription_id}")
    return "\n".join(words)


def account_named(group: str | None, domain: str | None) -> "Account":
    """The account that the options name, if it is a possible one (R4)."""
    from pydantic import ValidationError

    from subscription.refusals import Refusal, RefusalCode
    from subscription.request import AccountName
    from subscription.validation import parse_strict, problems_from

    if (group is None) == (domain is None):
        raise usage_error("Say either --group or --domain.", field="group")
    try:
        return parse_strict(AccountName, {"group": group, "domain": domain}).account
    except ValidationError as error:
        problems = problems_from(error)
        raise refusal(
            Refusal.of_problems(RefusalCode(problems[0].code), problems, whole="the name")
        ) from None


def _fields_of(file: Path) -> Mapping[str, Any]:
    from entrypoints.cli.yaml_documents import DocumentError, read_documents

    try:
        documents = read_documents(file)
    except DocumentError as error:
        raise usage_error(
            str(error), field="FILE", advice="examples/request.yaml shows how it is written."
        ) from None
    if len(documents) > 1:
        raise usage_error(f"{file} has {len(documents)} requests (separated by ---): send them one by one.")
    return documents[0].fields


def _problems_of_a_file(fields: Mapping[str, Any]) -> "tuple[Problem, ...]":
    from subscription.refusals import Problem, RefusalCode

    return tuple(
        Problem.of(RefusalCode.UNKNOWN_FIELD, name, reason=reason)
        for name, reason in _NOT_FOR_A_FILE.items()
        if name in fields
    )


def _run_all(refused: "Refusal | None", problems: "tuple[Problem, ...]") -> "Refusal":
    """One refusal with everything that is wrong."""
    from subscription.refusals import Refusal, RefusalCode

    if refused and not problems:
        return refused
    problems = (*(refused.problems if refused else ()), *problems)
    return Refusal.of_problems(RefusalCode.REQUEST_REFUSED, problems, whole="the request")


def _hash_of_what_is_typed() -> str:
    """Asks until a possible password has been typed the same twice."""
    from adapters.password_hashing import hashed
    from entrypoints.cli import password_input

    print_status("8 to 40 characters, among them an uppercase letter, a lowercase letter and a digit.")
    for _ in range(_ATTEMPTS):
        password, problems = password_input.from_terminal()
        if not problems:
            return hashed(password)
        for problem in problems:
            print_status(f"The password {problem.message}.")
    raise refusal(_run_all(None, problems))
