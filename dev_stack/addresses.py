"""Addresses of a running local stack."""

import json
from dataclasses import dataclass
from pathlib import Path

from dev_stack.child_server import DirectoryLock

ADDRESSES_FILE = "stack.json"


@dataclass(frozen=True)
class StackAddresses:
    """Where a running stack answers. The URLs of the database hold a password."""

    temporal_address: str
    """host:port"""
    namespace: str
    ui_url: str
    database_url: str
    """For whoever sets it up."""
    worker_url: str
    web_url: str
    people_url: str
    dns_address: str
    """host:port"""
    pid: int
    """The process whose end ends the stack."""


def find_stack(directory: Path) -> StackAddresses | None:
    """Where the stack on this directory answers; None if no living process runs one."""
    owner = DirectoryLock.holder(directory)
    try:
        addresses = StackAddresses(**json.loads((directory / ADDRESSES_FILE).read_text()))
    except FileNotFoundError:
        return None
    return addresses if addresses.pid == owner else None
