"""Payloads from operators and other SDKs that a handler does not expect."""

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue


def payload(data: bytes, encoding: bytes = b"json/plain") -> RawValue:
    return RawValue(Payload(metadata={"encoding": encoding}, data=data))


NOT_JSON = payload(b"{half of an obj")
BINARY = payload(b"\x00\x01\xff\xfe", b"binary/plain")
UNKNOWN_ENCODING = payload(b"whatever", b"binary/encrypted")
BROKEN_TEXT = payload(b'"\xff\xfe"')
LONE_SURROGATE = payload(b'{"by": "\\ud800"}')
DEEP = payload(b"[" * 20_000 + b"]" * 20_000)
NOT_A_NUMBER = payload(b'{"members": NaN}')
HUGE_NUMBER = payload(b'{"members": ' + b"9" * 6000 + b"}")
WITHOUT_ENCODING = RawValue(Payload(data=b"{}"))

MISFITS = (
    NOT_JSON,
    BINARY,
    UNKNOWN_ENCODING,
    BROKEN_TEXT,
    LONE_SURROGATE,
    DEEP,
    NOT_A_NUMBER,
    HUGE_NUMBER,
    WITHOUT_ENCODING,
)
