"""Payload encryption: confidentiality, integrity, and decryption with old keys."""

import base64
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from support.encryption_keys import new_key, new_keyring
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from adapters.settings_error import SettingsError
from adapters.temporal.data_converter import data_converter, encrypting
from adapters.temporal.encrypted_payload import EncryptedPayload, UnknownKeyError
from adapters.temporal.encryption_keys import (
    KEYS,
    KEYS_FILE,
    Key,
    Keyring,
    keyring_from,
)
from adapters.temporal.payload_codec import AesGcmPayloadCodec
from subscription.refusals import RefusalCode

PERSON = "한빛서점 Hanbit"


async def encrypted(keyring: Keyring, value: str = PERSON) -> Payload:
    [payload] = await encrypting(keyring).encode([value])
    return payload


async def read(converter: DataConverter, payload: Payload) -> str:
    [value] = await converter.decode([payload], [str])
    return str(value)


async def test_ciphertext_discloses_only_its_key_id() -> None:
    keyring = new_keyring()
    payload = await encrypted(keyring)
    assert dict(payload.metadata) == {
        "encoding": b"binary/encrypted",
        "encryption-version": b"1",
        "encryption-key-id": keyring.keys[0].id.encode(),
    }
    assert not any(word.encode() in payload.SerializeToString() for word in (*PERSON.split(), "json/plain"))
    assert await read(encrypting(keyring), payload) == PERSON


async def test_format_is_readable_by_other_programs() -> None:
    """Decrypt as documented in docs/encryption.md, with only the key and no project code."""
    key = new_key()
    payload = await encrypted(Keyring((key,)))
    nonce, ciphertext = payload.data[:12], payload.data[12:]
    clear = AESGCM(key.secret).decrypt(nonce, ciphertext, f"worksub payload\n1\n{key.id}".encode())
    assert Payload.FromString(clear).data == f'"{PERSON}"'.encode()


async def test_nonces_are_unique() -> None:
    keyring = new_keyring()
    payloads = await AesGcmPayloadCodec(keyring).encode([Payload(data=b"the same")] * 10_000)
    assert len({payload.data[:12] for payload in payloads}) == 10_000
    assert len({payload.data[12:] for payload in payloads}) == 10_000


async def test_plaintext_payload_stays_readable() -> None:
    [payload] = await data_converter({}).encode([PERSON])
    assert await read(encrypting(new_keyring()), payload) == PERSON


async def test_rotation_reads_old_and_new_payloads_with_both_keys() -> None:
    old, new = new_key(), new_key()
    before, during, after = (Keyring(keys) for keys in ((old,), (old, new), (new, old)))
    written = {keyring: await encrypted(keyring) for keyring in (before, during, after)}
    assert {EncryptedPayload.of(payload).key_id for payload in written.values()} == {old.id, new.id}  # type: ignore[union-attr]
    for keyring in (during, after):
        assert [await read(encrypting(keyring), payload) for payload in written.values()] == [PERSON] * 3
    with pytest.raises(UnknownKeyError, match=new.id):
        await read(encrypting(before), written[after])


@pytest.mark.parametrize("keyring", [new_keyring(), Keyring()], ids=["another key", "no key"])
async def test_unknown_key_error_names_key_and_action(keyring: Keyring) -> None:
    other = new_keyring()
    with pytest.raises(UnknownKeyError) as unknown:
        await read(encrypting(keyring), await encrypted(other))
    error_text = str(unknown.value)
    assert other.keys[0].id in error_text
    assert f"add that key to {KEYS_FILE} or {KEYS}" in error_text
    assert str(other.keys[0]) not in error_text


def damaged(payload: Payload) -> Sequence[Payload]:
    """Yield copies of the payload, each with one bit flipped or another part changed."""
    flipped = []
    for position in range(len(payload.data)):
        data = bytearray(payload.data)
        data[position] ^= 1
        flipped.append(Payload(metadata=payload.metadata, data=bytes(data)))
    renamed = Payload(metadata=payload.metadata, data=payload.data)
    renamed.metadata["encryption-version"] = b"2"
    return [*flipped, renamed, Payload(metadata=payload.metadata, data=payload.data[:20])]


async def test_tampered_payload_is_not_decrypted() -> None:
    keyring = new_keyring()
    codec = AesGcmPayloadCodec(keyring)
    for payload in damaged(await encrypted(keyring)):
        [decoded] = await codec.decode([payload])
        assert decoded.data == payload.data
        with pytest.raises(ValueError, match="not by this service"):
            await read(encrypting(keyring), payload)


async def test_payload_does_not_decrypt_under_another_key_id() -> None:
    one, other = new_key(), new_key()
    keyring = Keyring((one, other))
    payload = await encrypted(keyring)
    payload.metadata["encryption-key-id"] = other.id.encode()
    [decoded] = await AesGcmPayloadCodec(keyring).decode([payload])
    assert decoded.data == payload.data


async def failure_of(error: Exception, converter: DataConverter) -> Failure:
    failure = Failure()
    await converter.encode_failure(error, failure)
    return failure


async def test_failure_message_is_encrypted_and_restored() -> None:
    converter = encrypting(new_keyring())
    try:
        raise RuntimeError(PERSON) from ValueError(f"{PERSON} again")
    except RuntimeError as error:
        failure = await failure_of(error, converter)
    sent = failure.SerializeToString()
    assert PERSON.encode() not in sent
    assert b"test_payload_codec.py" not in sent, "the stack trace is also encrypted"
    assert (failure.message, failure.cause.message) == ("Encoded failure", "Encoded failure")
    decoded_error = await converter.decode_failure(failure)
    assert isinstance(decoded_error, ApplicationError)
    assert (decoded_error.message, decoded_error.type) == (PERSON, "RuntimeError")
    # The payload is passed on unchanged and not encrypted a second time.
    again = await converter.decode_failure(await failure_of(decoded_error, converter))
    assert isinstance(again, ApplicationError)
    assert again.message == PERSON


async def test_refusal_code_is_plaintext_and_message_encrypted() -> None:
    converter = encrypting(new_keyring())
    refusal = ApplicationError(f"{PERSON} is taken.", {"name": PERSON}, type=RefusalCode.NAME_TAKEN)
    failure = await failure_of(refusal, converter)
    assert (failure.application_failure_info.type, failure.message) == ("NAME_TAKEN", "NAME_TAKEN")
    assert PERSON.encode() not in failure.SerializeToString()
    decoded_error = await converter.decode_failure(failure)
    assert isinstance(decoded_error, ApplicationError)
    assert (decoded_error.message, decoded_error.details[0]) == (f"{PERSON} is taken.", {"name": PERSON})


# -- key sources -------------------------------------------------------------------------------------


def key_file(directory: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    file = directory / "keys"
    file.write_text(text)
    file.chmod(mode)
    return {KEYS_FILE: str(file)}


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440])
def test_keys_are_read_from_a_file_active_key_first(tmp_path: Path, mode: int) -> None:
    keys = new_key(), new_key()
    text = f"# since March\n{keys[0]}\n\n# until March\n{keys[1]}\n"
    assert keyring_from(key_file(tmp_path, text, mode)).keys == keys


def test_keys_are_read_from_the_environment() -> None:
    keys = new_key(), new_key()
    assert keyring_from({KEYS: f"{keys[0]}, {keys[1]}"}).keys == keys
    assert not keyring_from({KEYS: "", KEYS_FILE: ""})


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o606, 0o660, 0o777])
def test_key_file_accessible_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SettingsError, match=rf"mode {mode:04o}.*chmod 600"):
        keyring_from(key_file(tmp_path, f"{new_key()}\n", mode))


GOOD = str(new_key())
SHORT = base64.b64encode(b"sixteen bytes ok").decode()


@pytest.mark.parametrize(
    ("written", "error_text"),
    [
        (f"{GOOD}\nnonsense\n", "line 2 is not a key"),
        (SHORT, "line 1 is not a key, which is 32 bytes"),
        (f"{GOOD}\n# again\n{GOOD}\n", "line 3 repeats an earlier key"),
        ("# nothing yet\n", "contains no key; create one with `worksub codec generate-key`"),
        ("열쇠", "is not a list of keys"),
    ],
    ids=["nonsense", "short", "twice", "empty", "letters"],
)
def test_invalid_key_list_is_refused_without_quoting_keys(
    tmp_path: Path, written: str, error_text: str
) -> None:
    with pytest.raises(SettingsError, match=error_text) as refused:
        keyring_from(key_file(tmp_path, written))
    assert not any(key in str(refused.value) for key in (GOOD, SHORT, "nonsense"))


def test_missing_file_and_conflicting_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        keyring_from({KEYS_FILE: str(tmp_path / "nowhere")})
    with pytest.raises(SettingsError, match="both set"):
        keyring_from({KEYS: GOOD, **key_file(tmp_path, GOOD)})


def test_a_key_is_named_by_its_id_and_never_shown() -> None:
    key = Key(bytes(range(32)))
    assert key.id == Key(bytes(range(32))).id
    assert len(key.id) == 16
    assert str(key) not in repr(Keyring((key,)))
    assert "secret" not in repr(key)
