"""The `worksub` command. Heavy imports are deferred so that short commands are fast."""

import gc
import os
import sys

# Without pathlib, whose import would take longer than the rest.
_HELP = os.path.join(os.path.dirname(__file__), "help.txt")
_ALLOCATIONS_A_COLLECTION = 100_000
_MIN_COLUMNS = 80
"""The help of a narrower terminal has other line breaks."""


def main() -> None:
    """Run the `worksub` console script."""
    # A plugin of pydantic, which every command would import, has no use in a command.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Modules are no garbage: to search them at each import takes a twentieth of the time of a short command.
    gc.set_threshold(_ALLOCATIONS_A_COLLECTION)
    if sys.argv[1:] in ([], ["--help"], ["-h"]) and _print_generated_help():
        return
    from entrypoints.cli.app import main as run

    run()


def _print_generated_help() -> bool:
    """Print the help that was generated for this release, or return False if it has to be made now."""
    if "COLUMNS" in os.environ or "_WORKSUB_COMPLETE" in os.environ or sys.stdout is None:
        return False
    try:
        if sys.stdout.isatty() and os.get_terminal_size().columns < _MIN_COLUMNS:
            return False
        with open(_HELP, encoding="utf-8") as file:
            sys.stdout.write(file.read())
        sys.stdout.flush()
    except (OSError, ValueError):  # a closed output: the application reports it
        return False
    return True
