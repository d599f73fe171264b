"""Payload codec: AES-256-GCM with a random nonce per payload.

The ciphertext of an encoded payload contains the complete original payload, including its metadata.
"""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from adapters.temporal.encrypted_payload import (
    ENCODING,
    NONCE_BYTES,
    EncryptedPayload,
    UnknownKeyError,
    associated_data,
)
from adapters.temporal.encryption_keys import Keyring


class AesGcmPayloadCodec(PayloadCodec):
    """Encrypt with the first key; decrypt with any key, and pass plaintext payloads through unchanged."""

    def __init__(self, keyring: Keyring) -> None:
        self._active_key_id = keyring.keys[0].id
        self._ciphers = {key.id: AESGCM(key.secret) for key in keyring.keys}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt payloads; leave payloads with an unknown key encrypted, because their origin is unknown.

        The reading code decides: the service waits until its own payloads can be decrypted, and refuses the
        payload of a caller (`workflows.command_handlers`).
        """
        return [self._decrypted(payload) for payload in payloads]

    async def decrypted(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt all payloads; raises `UnknownKeyError`."""
        for payload in payloads:
            envelope = EncryptedPayload.of(payload)
            if envelope and envelope.key_id not in self._ciphers:
                raise UnknownKeyError(envelope.key_id)
        return [self._decrypted(payload) for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        key_id, nonce = self._active_key_id, os.urandom(NONCE_BYTES)
        plaintext = payload.SerializeToString()
        ciphertext = self._ciphers[key_id].encrypt(nonce, plaintext, associated_data(key_id))
        return EncryptedPayload(key_id, nonce, ciphertext).as_payload()

    def _decrypted(self, payload: Payload) -> Payload:
        envelope = EncryptedPayload.of(payload)
        if envelope is None:
            return payload
        cipher = self._ciphers.get(envelope.key_id)
        if cipher is None:
            return payload
        try:
            plaintext = cipher.decrypt(envelope.nonce, envelope.ciphertext, associated_data(envelope.key_id))
            return Payload.FromString(plaintext)
        except (InvalidTag, DecodeError):
            # Authentication failed: the payload is forged or damaged. Raising would block the workflow task
            # forever. So the payload is passed on undecoded, and refused like any other unreadable payload.
            return Payload(metadata={"encoding": ENCODING.encode()}, data=payload.data)
