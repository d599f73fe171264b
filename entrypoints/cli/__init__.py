"""The `worksub` command. Heavy imports are deferred so that `--help` is fast."""

from entrypoints.cli.app import main

__all__ = ["main"]
