"""Data converters: pydantic payloads, optional encryption, no stack traces for refusals.

Where there are keys, all of it is encrypted, the words of failures included; a refusal's code stays readable.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    EncodingPayloadConverter,
    PayloadConverter,
)
from temporalio.exceptions import ApplicationError

from adapters.temporal.encrypted_payload import ENCODING, EncryptedPayload, UnknownKeyError
from adapters.temporal.encryption_keys import EncryptionSettingsError, Keyring, keyring_from
from subscription.refusals import RefusalCode

_REFUSALS = frozenset(RefusalCode)

# Temporal makes a converter for each workflow, and building what a type is read by takes longer than all the
# rest of a month's turn. So all converters of a process share what they have built.
_AS_PYDANTIC_WRITES_IT = tuple(PydanticPayloadConverter().converters.values())


class RefusalFailureConverter(DefaultFailureConverter):
    """A refusal is an answer, not a fault: where in our code it was made helps nobody who reads it."""

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        if isinstance(exception, ApplicationError) and exception.type in _REFUSALS:
            failure.stack_trace = ""


class EncryptedFailureConverter(RefusalFailureConverter):
    """Messages and stack traces as payloads, which are encrypted. In their place stands a refusal's code.

    A query's failure reaches its caller with that place alone, so the code is all that is told there.
    """

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        if failure.HasField("encoded_attributes"):  # it was when it came in
            return
        words = {"message": failure.message, "stack_trace": failure.stack_trace}
        failure.encoded_attributes.CopyFrom(payload_converter.to_payload(words))
        kind = failure.application_failure_info.type
        failure.message = kind if kind in _REFUSALS else "Encoded failure"
        failure.stack_trace = ""


class MissingKeyPayloadConverter(EncodingPayloadConverter):
    """What stands where nothing could be decrypted: no value, but the reason why there is none."""

    @property
    def encoding(self) -> str:
        return ENCODING

    def to_payload(self, value: Any) -> Payload | None:
        return None

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        envelope = EncryptedPayload.of(payload)
        if envelope is None:
            raise ValueError("It is encrypted, and not by this service.")
        raise UnknownKeyError(envelope.key_id)


class Payloads(CompositePayloadConverter):
    """As pydantic writes it. What is still encrypted here is under a key that this process does not have.

    Several arguments of which nobody says the types are not read at all: a workflow's handlers take one, and
    another one that cannot be read would make the SDK drop the signal without a word.
    """

    def __init__(self) -> None:
        super().__init__(*_AS_PYDANTIC_WRITES_IT, MissingKeyPayloadConverter())

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        if type_hints is None and len(payloads) > 1:
            return [RawValue(payload) for payload in payloads]
        return super().from_payloads(payloads, type_hints)


_IN_THE_CLEAR = DataConverter(
    payload_converter_class=Payloads, failure_converter_class=RefusalFailureConverter
)


def data_converter(environment: Mapping[str, str] = os.environ) -> DataConverter:
    """By the keys in the environment. Raises `EncryptionSettingsError`."""
    return encrypting(keyring_from(environment))


def encrypting(keyring: Keyring) -> DataConverter:
    """With the keys of this keyring; in the clear if it has none."""
    if not keyring:
        return _IN_THE_CLEAR
    try:
        from adapters.temporal.payload_codec import AesGcmPayloadCodec
    except ImportError:
        raise EncryptionSettingsError(
            "There are keys to encrypt with, and cryptography is not installed: "
            "pip install 'worksub[encryption]'."
        ) from None
    return DataConverter(
        payload_converter_class=Payloads,
        payload_codec=AesGcmPayloadCodec(keyring),
        failure_converter_class=EncryptedFailureConverter,
    )
