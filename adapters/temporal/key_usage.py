"""Counts of the payloads encrypted with each key, to find out whether an old key can be retired."""

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
    """Usage of one key. `key_id` is None for plaintext. `known` is true if this process has the key."""

    key_id: str | None
    known: bool
    encrypts: bool
    """True for the key that encrypts new payloads."""
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
    """Count the payloads of all readable runs, including closed runs.

    Search attributes are never encrypted. Schedules are not counted: their only payload is the note, which no
    worker reads.
    """
    payloads: Counter[str | None] = Counter()
    runs: Counter[str | None] = Counter()
    checked = 0
    async for run in client.list_workflows(query or None, limit=limit):
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        in_run: Counter[str | None] = Counter()
        try:
            async for event in handle.fetch_history_events():
                in_run.update(_key_of(payload) for payload in payloads_in(event))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # the run was deleted concurrently
                raise
        payloads += in_run
        runs.update(in_run.keys())
        checked += 1
        on_progress(checked)
    ids = [key.id for key in keyring.keys]
    all_ids = [*ids, *sorted(key for key in payloads if key and key not in ids), None]
    return [
        KeyUsage(
            key_id=key_id,
            known=key_id is None or key_id in ids,
            encrypts=key_id == (ids[0] if ids else None),
            payloads=payloads[key_id],
            runs=runs[key_id],
        )
        for key_id in all_ids
    ]


def _key_of(payload: Payload) -> str | None:
    envelope = EncryptedPayload.of(payload)
    return envelope.key_id if envelope else None


def payloads_in(message: Message) -> Iterator[Payload]:
    """Yield all payloads in a message, except those that the payload codec does not process.

    These exceptions are search attributes, headers, and the SDK's own data about a local activity (its name
    and times).
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
        for submessage in _messages_in(value):
            yield from payloads_in(submessage)


def _messages_in(value: object) -> Iterator[Message]:
    if isinstance(value, Message):
        yield value
    elif hasattr(value, "values"):  # a map
        yield from (item for item in value.values() if isinstance(item, Message))
    elif isinstance(value, str | bytes | int | float):
        return
    else:
        yield from value  # type: ignore[misc]
