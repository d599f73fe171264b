"""Files with the server addresses of `worksub dev`, for other programs."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev_stack.addresses import StackAddresses
from entrypoints.cli.connections import PROFILE_FILE

ENVIRONMENT_FILE = "env"
"""Shell script with the addresses as environment variables, to be sourced."""


@contextmanager
def environment_files(directory: Path, addresses: StackAddresses, api_url: str) -> Iterator[None]:
    """Write both files, and delete them when the servers end, because other programs may then use the ports.

    Only the owner can read the files, because the database URL contains a password.
    """
    files = {
        directory / PROFILE_FILE: _profile(addresses),
        directory / ENVIRONMENT_FILE: _environment(directory.resolve(), addresses, api_url),
    }
    try:
        for file, text in files.items():
            file.unlink(missing_ok=True)
            file.touch(mode=0o600)
            file.write_text(text, encoding="utf-8")
        yield
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def _profile(addresses: StackAddresses) -> str:
    return f'''\
# Written by `worksub dev`, which deletes this file when it ends.
[profile.default]
address = "{addresses.temporal_address}"
namespace = "{addresses.namespace}"
'''


def _environment(directory: Path, addresses: StackAddresses, api_url: str) -> str:
    settings = {
        "TEMPORAL_CONFIG_FILE": str(directory / PROFILE_FILE),
        "TEMPORAL_ADDRESS": addresses.temporal_address,
        "TEMPORAL_NAMESPACE": addresses.namespace,
        "DATABASE_URL": addresses.reader_url,
        "WORKSUB": f"{api_url}/v1",
    }
    return "\n".join(
        [
            "# Written by `worksub dev`, which deletes this file when it ends. Source it in a shell.",
            "# Unset settings of other Temporal servers, such as certificates, which would apply here also.",
            "for name in $(env | sed -n 's/^\\(TEMPORAL_[A-Z_]*\\)=.*/\\1/p'); do unset \"$name\"; done",
            *(f"export {name}={shlex.quote(value)}" for name, value in settings.items()),
            "",
        ]
    )
