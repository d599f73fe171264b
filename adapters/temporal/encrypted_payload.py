"""Wire format of encrypted payloads: version, key ID, nonce and ciphertext."""

from typing import NamedTuple, Self

from temporalio.api.common.v1 import Payload

from adapters.temporal.encryption_keys import KEYS, KEYS_FILE

ENCODING = "binary/encrypted"
NONCE_BYTES = 12

_VERSION = b"1"
_VERSION_FIELD, _KEY_FIELD = "encryption-version", "encryption-key-id"
_TAG_BYTES = 16


class UnknownKeyError(Exception):
    """A payload is encrypted with a key that this process does not have."""

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"A payload is encrypted with the key {key_id}, which this process does not have: add that key "
            f"to {KEYS_FILE} or {KEYS} and restart the process. No data is lost."
        )
        self.key_id = key_id


class EncryptedPayload(NamedTuple):
    """An encrypted payload. The key ID is plaintext metadata; nonce and ciphertext are the payload's data."""

    key_id: str
    nonce: bytes
    ciphertext: bytes

    @classmethod
    def of(cls, payload: Payload) -> Self | None:
        """Parse a payload; return None if this service has not encrypted it."""
        metadata, data = payload.metadata, payload.data
        key_id = metadata.get(_KEY_FIELD, b"")
        if metadata.get("encoding") != ENCODING.encode() or metadata.get(_VERSION_FIELD) != _VERSION:
            return None
        if len(data) < NONCE_BYTES + _TAG_BYTES or not (key_id.isalnum() and key_id.isascii()):
            return None
        return cls(key_id.decode(), data[:NONCE_BYTES], data[NONCE_BYTES:])

    def as_payload(self) -> Payload:
        return Payload(
            metadata={
                "encoding": ENCODING.encode(),
                _VERSION_FIELD: _VERSION,
                _KEY_FIELD: self.key_id.encode(),
            },
            data=self.nonce + self.ciphertext,
        )


def associated_data(key_id: str) -> bytes:
    """Return the associated data that AES-GCM authenticates with the ciphertext: version and key ID."""
    return b"worksub payload\n" + _VERSION + b"\n" + key_id.encode()
