"""Message authentication codes (HMAC-SHA-256) with the workers' keys."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

SIGNATURE_HEADER = "worksub-signature"
"""The Temporal header of a signed call."""


class UnknownSigningKeyError(Exception):
    """The key of a signature is unknown to this worker. A worker that was started later may have the key."""


@dataclass(frozen=True)
class MessageSigner:
    """Signature with the first key and verify with all keys, so that a new key can replace an old one."""

    keys: tuple[bytes, ...] = field(repr=False)

    def of_run(self, workflow_id: str, previous_run_id: str, argument: Sequence[bytes]) -> str:
        """Signature the argument of the run that continues this run of this workflow."""
        return self._made("run", workflow_id, previous_run_id, *argument)

    def is_of_run(
        self, signature: str, workflow_id: str, previous_run_id: str, argument: Sequence[bytes]
    ) -> bool:
        return self._verified(signature, "run", workflow_id, previous_run_id, *argument)

    def of_call(self, workflow_id: str, activity: str, argument: Sequence[bytes]) -> str:
        """Signature the argument of an activity that this workflow schedules."""
        return self._made("call", workflow_id, activity, *argument)

    def is_of_call(self, signature: str, workflow_id: str, activity: str, argument: Sequence[bytes]) -> bool:
        return self._verified(signature, "call", workflow_id, activity, *argument)

    def of_result(self, workflow_id: str, activity: str, result: bytes) -> str:
        """Signature the result of a local activity, whose argument the history does not contain."""
        return self._made("result", workflow_id, activity, result)

    def is_of_result(self, signature: str, workflow_id: str, activity: str, result: bytes) -> bool:
        return self._verified(signature, "result", workflow_id, activity, result)

    def _made(self, *parts: str | bytes) -> str:
        key = self.keys[0]
        return f"{_id(key)}.{_mac(key, parts)}"

    def _verified(self, signature: str, *parts: str | bytes) -> bool:
        key_id, _, mac = signature.partition(".")
        key = next((key for key in self.keys if _id(key) == key_id), None)
        if key is None:
            if not mac:
                return False
            raise UnknownSigningKeyError(f"no worker key {key_id}")
        return hmac.compare_digest(_mac(key, parts).encode(), mac.encode())


def _id(key: bytes) -> str:
    return hashlib.sha256(b"id" + key).hexdigest()[:8]


def _mac(key: bytes, parts: Sequence[str | bytes]) -> str:
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        mac.update(len(data).to_bytes(8, "big") + data)
    return mac.hexdigest()
