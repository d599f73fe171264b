"""Entry point of `python -m entrypoints.cli`."""

from entrypoints.cli.app import main

main()
