"""Encryption keys from the environment or a file. The first key encrypts; all keys decrypt."""

import base64
import binascii
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapters.settings_error import SettingsError

KEYS, KEYS_FILE = "WORKSUB_ENCRYPTION_KEYS", "WORKSUB_ENCRYPTION_KEYS_FILE"
KEY_BYTES = 32

_ID_PURPOSE = b"worksub encryption key id\n"
_FORBIDDEN_MODE = stat.S_IWGRP | stat.S_IRWXO


@dataclass(frozen=True)
class Key:
    """An AES-256 key. Its ID is derived from the secret, so that the ID identifies exactly one key."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        import hashlib  # imported here, because it loads OpenSSL and most processes have no keys

        return hashlib.sha256(_ID_PURPOSE + self.secret).hexdigest()[:16]

    def __str__(self) -> str:
        """Return the key in base64, as in the settings."""
        return base64.b64encode(self.secret).decode()


@dataclass(frozen=True)
class Keyring:
    """A list of keys. The first key encrypts; all keys decrypt. Without keys nothing is encrypted."""

    keys: tuple[Key, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys)


def keyring_from(environment: Mapping[str, str]) -> Keyring:
    """Read the keys; the keyring is empty if neither setting is set. Raises `SettingsError`.

    The message names the setting and the problem, but never contains a key.
    """
    text, file = environment.get(KEYS), environment.get(KEYS_FILE)
    if text and file:
        raise SettingsError(f"{KEYS} and {KEYS_FILE} are both set; set only one of them.")
    if text:
        return _keyring(KEYS, enumerate(text.split(","), start=1), "key")
    if file:
        lines = _lines_of(Path(file))
        written = ((number, line) for number, line in lines if not line.strip().startswith("#"))
        return _keyring(f"{KEYS_FILE}, {file}", written, "line")
    return Keyring()


def _keyring(source: str, written: Iterator[tuple[int, str]], unit: str) -> Keyring:
    keys: list[Key] = []
    for number, text in written:
        if not text.strip():
            continue
        key = _key(text.strip())
        if key is None:
            raise SettingsError(
                f"{source}: {unit} {number} is not a key, which is {KEY_BYTES} bytes in base64; "
                "`worksub codec generate-key` creates one."
            )
        if key in keys:
            raise SettingsError(f"{source}: {unit} {number} repeats an earlier key.")
        keys.append(key)
    if not keys:
        raise SettingsError(
            f"{source} contains no key; create one with `worksub codec generate-key`, or unset it."
        )
    return Keyring(tuple(keys))


def _key(text: str) -> Key | None:
    try:
        secret = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Key(secret) if len(secret) == KEY_BYTES else None


def _lines_of(file: Path) -> list[tuple[int, str]]:
    """Read the numbered lines of a file with secrets, which other accounts must not read or change."""
    try:
        with file.open(encoding="ascii") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if mode & _FORBIDDEN_MODE:
                raise SettingsError(
                    f"{KEYS_FILE}: other accounts may read or change {file} (mode {mode:04o}); "
                    f"run `chmod 600 {file}`."
                )
            return list(enumerate(opened, start=1))
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        reason = "is not a list of keys"
    raise SettingsError(f"{KEYS_FILE}: {file} {reason}.")
