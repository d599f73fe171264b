"""`worksub codec`: encryption keys and the codec server."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli import event_loop
from entrypoints.cli.errors import CommandError, ExitCode, usage_error
from entrypoints.cli.options import AsJson
from entrypoints.cli.output import print_status, show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from adapters.temporal.key_usage import KeyUsage

app = typer.Typer(help="Manage payload encryption keys and run the codec server.", no_args_is_help=True)
PANEL = "Run the service"


@app.command("generate-key")
def generate_key(as_json: AsJson = False) -> None:
    """Generate an encryption key as a line for WORKSUB_ENCRYPTION_KEYS_FILE. The key is not stored."""
    from adapters.temporal.encryption_keys import KEY_BYTES, Key

    key = Key(os.urandom(KEY_BYTES))
    show(as_json, {"key_id": key.id, "key": str(key)}, lambda: f"# {key.id}\n{key}")


@app.command("generate-token")
def generate_token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the operator, as written to the log.")],
    as_json: AsJson = False,
) -> None:
    """Generate an operator's token, and the line for WORKSUB_CODEC_TOKENS_FILE that accepts it."""
    from adapters.tokens import new_token
    from entrypoints.codec_server.operator_tokens import TokensError, token_line

    token = new_token()
    try:
        line = token_line(name, token)
    except TokensError as error:
        raise usage_error(str(error), field="name") from None
    show(
        as_json,
        {"token": token, "line": line},
        lambda: f"Token for {name}: {token}\nLine for WORKSUB_CODEC_TOKENS_FILE: {line}",
    )


@app.command()
def keys(
    query: Annotated[
        str,
        typer.Option(
            "--query", metavar="QUERY", help="Workflow runs, as a visibility query.", show_default="all"
        ),
    ] = "",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Maximum number of runs.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count the payloads in Temporal by encryption key. A key without payloads can be retired."""
    from adapters.temporal.encryption_keys import keyring_from
    from adapters.temporal.key_usage import keys_in_use

    keyring = keyring_from(os.environ)
    with Session() as session:
        usage = session.run_services(
            lambda services: keys_in_use(
                services.temporal,
                keyring,
                query=query,
                limit=limit,
                on_progress=lambda runs: session.reset_timeout(f"{runs:,} runs read so far…"),
            )
        )
    show(as_json, {"keys": usage}, lambda: _keys_table(usage))


@app.command()
def serve(as_json: AsJson = False) -> None:
    """Run the codec server for the Web UI and the temporal command until Ctrl-C or SIGTERM."""
    from temporalio.envconfig import ClientConfig

    from entrypoints.codec_server.settings import CodecSettings
    from entrypoints.settings import start_settings

    try:
        from entrypoints.codec_server.server import serve as serve_codec
    except ImportError as error:
        message = f"The codec server needs {error.name}: pip install 'worksub[codec]'."
        raise CommandError(ExitCode.USAGE, "SETTINGS", message) from None
    namespace = ClientConfig.load_client_connect_config().get("namespace") or "default"
    settings = start_settings(CodecSettings, as_json=as_json)
    print_status(f"Decrypting for {settings.origin}, namespace {namespace}, at http://{settings.address}.")
    event_loop.run(serve_codec(settings, namespace))


def _keys_table(usage: "list[KeyUsage]") -> "RenderableType":
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("Key", "This process"):
        table.add_column(column)
    for column in ("Payloads", "Runs"):
        table.add_column(column, justify="right")
    for key in usage:
        access = "encrypts" if key.encrypts else "decrypts" if key.known else "no access"
        table.add_row(key.key_id or "none (plaintext)", access, f"{key.payloads:,}", f"{key.runs:,}")
    return table
