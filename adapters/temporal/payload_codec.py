"""Payload codec: AES-256-GCM with a random nonce per payload.

The whole of a payload, metadata included, is in the ciphertext of the one that stands for it.
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
    """Encrypts with the first key; reads what any of its keys has encrypted, and what nobody has."""

    def __init__(self, keyring: Keyring) -> None:
        self._in_use = keyring.keys[0].id
        self._ciphers = {key.id: AESGCM(key.secret) for key in keyring.keys}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """What is under an unknown key is left as it is: only where it is read is it known whose words it is.

        The service's own is waited for, a caller's is refused (`workflows.command_handlers`).
        """
        return [self._decrypted(payload) for payload in payloads]

    async def decrypted(self, payloads: Sequence[Payload]) -> list[Payload]:
        """All of these in the clear; raises `UnknownKeyError`."""
        for payload in payloads:
            envelope = EncryptedPayload.of(payload)
            if envelope and envelope.key_id not in self._ciphers:
                raise UnknownKeyError(envelope.key_id)
        return [self._decrypted(payload) for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        key_id, nonce = self._in_use, os.urandom(NONCE_BYTES)
        clear = payload.SerializeToString()
        ciphertext = self._ciphers[key_id].encrypt(nonce, clear, associated_data(key_id))
        return EncryptedPayload(key_id, nonce, ciphertext).as_payload()

    def _decrypted(self, payload: Payload) -> Payload:
        envelope = EncryptedPayload.of(payload)
        if envelope is None:
            return payload
        cipher = self._ciphers.get(envelope.key_id)
        if cipher is None:
            return payload
        try:
            clear = cipher.decrypt(envelope.nonce, envelope.ciphertext, associated_data(envelope.key_id))
            return Payload.FromString(clear)
        except (InvalidTag, DecodeError):
            # Nobody who has the key has made it. An error would stall the workflow that it was sent to, for
            # ever; as one of unknown origin it is refused like any other payload that cannot be read.
            return Payload(metadata={"encoding": ENCODING.encode()}, data=payload.data)
