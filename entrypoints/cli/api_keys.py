"""`worksub keys`: manage API keys."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from entrypoints.cli.errors import CommandError, ExitCode, usage_error
from entrypoints.cli.options import AsJson
from entrypoints.cli.output import show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rich.console import RenderableType

    from starter.api_keys import ApiKey, ApiKeyStore, IssuedKey

app = typer.Typer(help="Who may ask the HTTP API.", no_args_is_help=True)
PANEL = "Run the service"

T = TypeVar("T")

Prefix = Annotated[str, typer.Argument(metavar="PREFIX", help="As `list` shows it.", show_default=False)]
Customer = Annotated[str | None, typer.Option("--customer", metavar="ID", help="For this customer.")]
_LABEL_LENGTH = 60


@app.command("create")
def create_key(
    customer: Customer = None,
    operators: Annotated[
        bool, typer.Option("--operators", help="For the operators, who see every customer's.")
    ] = False,
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="What it is for.")] = "",
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=3650, help="It ends after so many days.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key for one customer, or for the operators. It is shown now and never again."""
    from subscription.request import is_opaque_id
    from subscription.validation import composed

    if (customer is None) == (not operators):
        raise usage_error("Say either --customer ID or --operators.", field="customer")
    if customer is not None and not is_opaque_id(customer):
        raise usage_error(
            "A customer's id is 1 to 100 letters, digits, '.', '_', ':' or '-', the first a letter or digit.",
            field="customer",
        )
    label = composed(label)
    if len(label) > _LABEL_LENGTH or not (label.isprintable()):
        raise usage_error(f"A label has {_LABEL_LENGTH} printable characters at most.", field="label")
    lasts = timedelta(days=days) if days else None
    made = _with_keys(lambda keys: keys.create(customer, label, lasts))
    show(as_json, made, lambda: _new_view(made))


@app.command("list")
def list_keys(customer: Customer = None, as_json: AsJson = False) -> None:
    """List keys, the newest first: whose they are and when they were last used, never the keys themselves."""
    found = _with_keys(lambda keys: keys.list(customer))
    show(as_json, {"keys": found}, lambda: _list_view(found))


@app.command("rotate")
def rotate_key(
    prefix: Prefix,
    hours: Annotated[
        int,
        typer.Option("--overlap", min=0, max=2160, metavar="HOURS", help="How long the old one still opens."),
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Make another key for the same caller. Both open for a day, or as long as is said."""
    made = _with_keys(lambda keys: keys.rotate(prefix, timedelta(hours=hours)))
    show(as_json, made, lambda: _new_view(made))


@app.command("revoke")
def revoke_key(prefix: Prefix, as_json: AsJson = False) -> None:
    """End a key now."""
    revoked = _with_keys(lambda keys: keys.revoke(prefix))
    show(as_json, revoked, lambda: f"The key {prefix} opens nothing any more.")


def _with_keys(ask: "Callable[[ApiKeyStore], Awaitable[T]]") -> T:
    from starter.api_keys import ApiKeyNotFoundError, ApiKeyStore

    with Session() as session:
        try:
            return session.run_admin(lambda pool: ask(ApiKeyStore(pool)))
        except ApiKeyNotFoundError:
            raise CommandError(
                ExitCode.REFUSED,
                "KEY_NOT_FOUND",
                "There is no key with that prefix that still opens anything.",
                field="prefix",
                advice="`worksub keys list` shows the prefixes.",
            ) from None


def _new_view(made: "IssuedKey") -> "RenderableType":
    from rich.text import Text

    whose = f"customer {made.key.customer_id}" if made.key.customer_id else "the operators"
    return Text(f"A key for {whose}. Keep it now; it is not shown again:\n\n  {made.token}\n")


def _list_view(keys: "list[ApiKey]") -> "RenderableType":
    from rich.text import Text

    from entrypoints.cli.views.api_tables import keys_table

    return keys_table(keys) if keys else Text("There are none.")
