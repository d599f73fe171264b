"""Count the payloads encrypted with each key."""

from collections import Counter
from collections.abc import Callable, Iterator

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.history.v1 import MarkerRecordedEventAttributes
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.encrypted_payload import EncryptedPayload
from adapters.temporal.encryption_keys import Keyring
from subscription.model import Frozen


class KeyUsage(Frozen):
    """`key_id` is None for what is in the clear. `known`: whether this process has the key."""

    key_id: str | None
    known: bool
    encrypts: bool
    """Whether it is the key that new payloads are encrypted with."""
    payloads: int
    runs: int


async def keys_in_use(
    client: Client,
    keyring: Keyring,
    *,
    query: str = "",
    limit: int | None = None,
    on_progress: Callable[[int], None] = lambda runs: None,
) -> list[KeyUsage]:
    """Count the payloads of every run that can be read, closed ones included.

    Search attributes are never encrypted. A schedule's only payload is its note, which no worker reads.
    """
    payloads: Counter[str | None] = Counter()
    runs: Counter[str | None] = Counter()
    looked_at = 0
    async for run in client.list_workflows(query or None, limit=limit):
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        found: Counter[str | None] = Counter()
        try:
            async for event in handle.fetch_history_events():
                found.update(_key_of(payload) for payload in payloads_in(event))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it has just been deleted
                raise
        payloads += found
        runs.update(found.keys())
        looked_at += 1
        on_progress(looked_at)
    ids = [key.id for key in keyring.keys]
    named = [*ids, *sorted(key for key in payloads if key and key not in ids), None]
    return [
        KeyUsage(
            key_id=key_id,
            known=key_id is None or key_id in ids,
            encrypts=key_id == (ids[0] if ids else None),
            payloads=payloads[key_id],
            runs=runs[key_id],
        )
        for key_id in named
    ]


def _key_of(payload: Payload) -> str | None:
    envelope = EncryptedPayload.of(payload)
    return envelope.key_id if envelope else None


def payloads_in(message: Message) -> Iterator[Payload]:
    """Every payload that stands anywhere in a message, but for those that no codec sees.

    Those are search attributes, headers, and what the SDK notes of a local activity: its name and its times.
    """
    if isinstance(message, Payload):
        yield message
        return
    if isinstance(message, SearchAttributes):
        return
    if isinstance(message, MarkerRecordedEventAttributes):
        yield from payloads_in(message.details["result"])
        yield from payloads_in(message.failure)
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.name == "header":
            continue
        for each in _messages_in(value):
            yield from payloads_in(each)


def _messages_in(value: object) -> Iterator[Message]:
    if isinstance(value, Message):
        yield value
    elif hasattr(value, "values"):  # a map
        yield from (each for each in value.values() if isinstance(each, Message))
    elif isinstance(value, str | bytes | int | float):
        return
    else:
        yield from value  # type: ignore[misc]
