"""The `worksub` command. What is heavy is imported where a command needs it, so that help comes quickly."""

from starter.cli.app import main

__all__ = ["main"]
