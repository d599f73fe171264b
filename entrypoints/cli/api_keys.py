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

app = typer.Typer(help="Manage API keys.", no_args_is_help=True)
PANEL = "Run the service"

T = TypeVar("T")

Prefix = Annotated[
    str, typer.Argument(metavar="PREFIX", help="Prefix of the key, as shown by `list`.", show_default=False)
]
Customer = Annotated[
    str | None, typer.Option("--customer", metavar="ID", help="The customer that the key belongs to.")
]
_LABEL_LENGTH = 60


@app.command("create")
def create_key(
    customer: Customer = None,
    operators: Annotated[
        bool, typer.Option("--operators", help="Create an operator key, with access to all customers.")
    ] = False,
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="A label, such as the purpose.")] = "",
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=3650, help="Expire after this number of days.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create an API key for one customer or for operators. The key is displayed only once."""
    from subscription.ids import is_opaque_id
    from subscription.validation import composed

    if (customer is None) == (not operators):
        raise usage_error("Specify either --customer ID or --operators.", field="customer")
    if customer is not None and not is_opaque_id(customer):
        raise usage_error(
            "A customer ID has 1 to 100 letters, digits, '.', '_', ':' or '-'. "
            "It begins with a letter or digit.",
            field="customer",
        )
    label = composed(label)
    if len(label) > _LABEL_LENGTH or not (label.isprintable()):
        raise usage_error(f"A label has at most {_LABEL_LENGTH} printable characters.", field="label")
    lifetime = timedelta(days=days) if days else None
    issued = _with_keys(lambda keys: keys.create(customer, label, lifetime))
    show(as_json, issued, lambda: _issued_view(issued))


@app.command("list")
def list_keys(customer: Customer = None, as_json: AsJson = False) -> None:
    """List API keys, newest first, with owner and last use. The secret keys are never shown."""
    listed = _with_keys(lambda keys: keys.list(customer))
    show(as_json, {"keys": listed}, lambda: _list_view(listed))


@app.command("rotate")
def rotate_key(
    prefix: Prefix,
    hours: Annotated[
        int,
        typer.Option(
            "--overlap", min=0, max=2160, metavar="HOURS", help="How long the old key remains valid."
        ),
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Replace a key. The old key remains valid for 24 hours, or for --overlap."""
    issued = _with_keys(lambda keys: keys.rotate(prefix, timedelta(hours=hours)))
    show(as_json, issued, lambda: _issued_view(issued))


@app.command("revoke")
def revoke_key(prefix: Prefix, as_json: AsJson = False) -> None:
    """Revoke a key immediately."""
    revoked = _with_keys(lambda keys: keys.revoke(prefix))
    show(as_json, revoked, lambda: f"The key {prefix} is revoked.")


def _with_keys(task: "Callable[[ApiKeyStore], Awaitable[T]]") -> T:
    from starter.api_keys import ApiKeyNotFoundError, ApiKeyStore

    with Session() as session:
        try:
            return session.run_admin(lambda pool: task(ApiKeyStore(pool)))
        except ApiKeyNotFoundError:
            raise CommandError(
                ExitCode.REFUSED,
                "KEY_NOT_FOUND",
                "No valid key has this prefix.",
                field="prefix",
                advice="`worksub keys list` shows the prefixes.",
            ) from None


def _issued_view(issued: "IssuedKey") -> "RenderableType":
    from rich.text import Text

    owner = f"customer {issued.key.customer_id}" if issued.key.customer_id else "operators"
    return Text(f"A key for {owner}. Store it now; it is not shown again:\n\n  {issued.token}\n")


def _list_view(keys: "list[ApiKey]") -> "RenderableType":
    from rich.text import Text

    from entrypoints.cli.views.api_keys import keys_table

    return keys_table(keys) if keys else Text("There are no API keys.")
