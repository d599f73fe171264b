"""Data converters: pydantic payloads, optional encryption, no stack traces for refusals.

If encryption keys are configured, the payload codec encrypts all payloads and failure messages. Only the code
of a refusal stays readable.
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

from adapters.settings_error import SettingsError
from adapters.temporal.encrypted_payload import ENCODING, EncryptedPayload, UnknownKeyError
from adapters.temporal.encryption_keys import Keyring, keyring_from
from subscription.refusals import RefusalCode

_REFUSALS = frozenset(RefusalCode)

# The SDK creates a converter for each workflow. Building pydantic's type adapters takes longer than all other
# work of a month-end run, so all converters of a process share the adapters.
_PYDANTIC_CONVERTERS = tuple(PydanticPayloadConverter().converters.values())


class RefusalFailureConverter(DefaultFailureConverter):
    """Failure converter that removes the stack traces of refusals, which are answers and not faults."""

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        if isinstance(exception, ApplicationError) and exception.type in _REFUSALS:
            failure.stack_trace = ""


class EncryptedFailureConverter(RefusalFailureConverter):
    """Failure converter that moves messages and stack traces into an encrypted payload.

    The message field then contains only the refusal's code. The failure of a query reaches its caller without
    the payload, so the caller receives only the code.
    """

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        if failure.HasField("encoded_attributes"):  # a received failure that is already encoded
            return
        attributes = {"message": failure.message, "stack_trace": failure.stack_trace}
        failure.encoded_attributes.CopyFrom(payload_converter.to_payload(attributes))
        kind = failure.application_failure_info.type
        failure.message = kind if kind in _REFUSALS else "Encoded failure"
        failure.stack_trace = ""


class MissingKeyPayloadConverter(EncodingPayloadConverter):
    """Converter that raises the reason why a payload could not be decrypted, for example a missing key."""

    @property
    def encoding(self) -> str:
        return ENCODING

    def to_payload(self, value: Any) -> Payload | None:
        return None

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        envelope = EncryptedPayload.of(payload)
        if envelope is None:
            raise ValueError("The payload is encrypted, but not by this service.")
        raise UnknownKeyError(envelope.key_id)


class Payloads(CompositePayloadConverter):
    """Pydantic payload converter. A payload still encrypted here needs a key that this process does not have.

    Several arguments without type hints are not decoded: workflow handlers take one argument. If a surplus
    argument could not be decoded, the SDK would drop the signal without an error.
    """

    def __init__(self) -> None:
        super().__init__(*_PYDANTIC_CONVERTERS, MissingKeyPayloadConverter())

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        if type_hints is None and len(payloads) > 1:
            return [RawValue(payload) for payload in payloads]
        return super().from_payloads(payloads, type_hints)


_PLAINTEXT = DataConverter(payload_converter_class=Payloads, failure_converter_class=RefusalFailureConverter)


def data_converter(environment: Mapping[str, str] = os.environ) -> DataConverter:
    """Return the data converter for the keys in the environment. Raises `SettingsError`."""
    return encrypting(keyring_from(environment))


def encrypting(keyring: Keyring) -> DataConverter:
    """Return a data converter that encrypts with this keyring; without keys, it does not encrypt."""
    if not keyring:
        return _PLAINTEXT
    try:
        from adapters.temporal.payload_codec import AesGcmPayloadCodec
    except ImportError:
        raise SettingsError(
            "Encryption keys are set, but the package cryptography is not installed: "
            "pip install 'worksub[encryption]'."
        ) from None
    return DataConverter(
        payload_converter_class=Payloads,
        payload_codec=AesGcmPayloadCodec(keyring),
        failure_converter_class=EncryptedFailureConverter,
    )
