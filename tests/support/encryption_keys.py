"""New encryption keys for tests."""

import os

from adapters.temporal.encryption_keys import KEY_BYTES, Key, Keyring


def new_key() -> Key:
    return Key(os.urandom(KEY_BYTES))


def new_keyring() -> Keyring:
    return Keyring((new_key(),))
