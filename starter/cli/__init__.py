"""The `worksub` command. Its modules import what is heavy only when a command needs it, so that help is quick."""

from starter.cli.app import main

__all__ = ["main"]
