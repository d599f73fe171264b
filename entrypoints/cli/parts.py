"""The modules of the `worksub` application, by command, so that a command imports only its own module."""

from collections.abc import Collection, Sequence
from typing import Final

PARTS: Final[dict[str, tuple[str, ...]]] = {
    "service_commands": ("demo", "dev", "worker", "api", "setup", "doctor"),
    "replay": ("replay",),
    "request": ("check-name", "request", "hash-password"),
    "subscription_commands": (
        *("switch", "renewal", "upgrade", "cancel", "withdraw", "rename", "verify-domain"),
    ),
    "status": ("status",),
    "subscription_queries": ("entitlements", "timeline", "ledger", "quote", "upcoming", "explain"),
    "bulk": ("bulk",),
    "export": ("export",),
    "search": ("list",),
    "billing": ("adjust", "invoice"),
    "journal": ("journal",),
    "clock": ("clock",),
    "simulate": ("simulate",),
    "api_keys": ("keys",),
    "webhooks": ("webhooks",),
    "notices": ("notices",),
    "bulk_runs": ("bulk-runs",),
    "catalogue": ("catalogue",),
    "schedules": ("schedules",),
    "codec": ("codec",),
    "reconciliation": ("reconcile", "findings"),
}
"""Commands of each module in `entrypoints.cli`, in the order of the help. A group's module has a `PANEL`."""


def parts_for(arguments: Sequence[str]) -> Collection[str]:
    """Return the module of the command in the arguments, or all modules for the help and unknown commands."""
    command = next((argument for argument in arguments if not argument.startswith("-")), None)
    return [part for part, commands in PARTS.items() if command in commands] or PARTS
