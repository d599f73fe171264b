"""Addresses of a running local stack."""

import json
from dataclasses import dataclass
from pathlib import Path

from dev_stack.child_server import DirectoryLock

ADDRESSES_FILE = "stack.json"


@dataclass(frozen=True)
class StackAddresses:
    """Addresses of a running local stack. The database URLs contain a password."""

    temporal_address: str
    """host:port"""
    namespace: str
    ui_url: str
    database_url: str
    """URL with the login of the database owner, for `worksub setup`."""
    worker_url: str
    api_url: str
    reader_url: str
    dns_address: str
    """host:port"""
    pid: int
    """The process that runs the stack; the stack ends with this process."""


def find_stack(directory: Path) -> StackAddresses | None:
    """Return the addresses of the stack in this directory; None if no process runs one."""
    owner = DirectoryLock.holder(directory)
    try:
        addresses = StackAddresses(**json.loads((directory / ADDRESSES_FILE).read_text()))
    except FileNotFoundError:
        return None
    return addresses if addresses.pid == owner else None
