"""The catalogue: what makes no sense, and what a newer version changes (R19)."""

from subscription.commands import MembersField  # noqa: F401
