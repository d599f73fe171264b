"""The codec server over HTTP: it decrypts only for authorized callers."""

import asyncio
import base64
import json
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.json_format import MessageToDict
from support.encryption_keys import new_keyring
from support.http_server import served
from temporalio.api.common.v1 import Payload, Payloads

from adapters.settings_error import SettingsError
from adapters.temporal.encryption_keys import KEYS, Keyring
from adapters.temporal.payload_codec import AesGcmPayloadCodec
from adapters.tokens import new_token, token_hash
from entrypoints.codec_server.app import MAX_BODY_BYTES, codec_app
from entrypoints.codec_server.authentication import (
    Authenticator,
    CombinedAuthenticator,
    Issuer,
    OidcAuthenticator,
    TokenAuthenticator,
)
from entrypoints.codec_server.operator_tokens import token_line
from entrypoints.codec_server.settings import CodecSettings

PERSON = "한빛서점 Hanbit"
ORIGIN, NAMESPACE, AUDIENCE = "https://temporal.example", "worksub", "worksub-codec"
TOKEN = new_token()
CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=f'"{PERSON}"'.encode())


class Answer(NamedTuple):
    status: int
    headers: Message
    body: str

    @property
    def code(self) -> str:
        """Return the code of a refusal, whose request ID must equal that of the header."""
        document = json.loads(self.body)
        assert document["request_id"] == self.headers["X-Request-Id"]
        return str(document["code"])

    @property
    def message(self) -> str:
        return str(json.loads(self.body)["message"])

    @property
    def payloads(self) -> list[dict[str, Any]]:
        return list(json.loads(self.body)["payloads"])


class CodecServer(NamedTuple):
    url: str
    keyring: Keyring

    async def send(
        self, path: str, body: bytes, *, method: str = "POST", token: str | None = TOKEN, **headers: str
    ) -> Answer:
        """Send a request; an empty value leaves its header out."""
        sent = {"Origin": ORIGIN, "X-Namespace": NAMESPACE, "Content-Type": "application/json"}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in sent.items() if value}
        request = Request(self.url + path, body, sent, method=method)

        def send_blocking() -> Answer:
            try:
                with urlopen(request, timeout=60) as answer:
                    return Answer(answer.status, answer.headers, answer.read().decode())
            except HTTPError as error:
                return Answer(error.code, error.headers, error.read().decode())

        return await asyncio.to_thread(send_blocking)

    async def body(self) -> bytes:
        """Return decryptable payloads in the format of the Web UI."""
        return in_json(await AesGcmPayloadCodec(self.keyring).encode([CLEAR, CLEAR]))


def in_json(payloads: list[Payload]) -> bytes:
    return json.dumps(MessageToDict(Payloads(payloads=payloads))).encode()


@asynccontextmanager
async def codec_server(
    authenticator: Authenticator | None = None, **options: Any
) -> AsyncIterator[CodecServer]:
    keyring = new_keyring()
    app = codec_app(
        AesGcmPayloadCodec(keyring),
        namespace=NAMESPACE,
        origin=ORIGIN,
        authenticator=authenticator or TokenAuthenticator({token_hash(TOKEN).hex(): "kim"}),
        **options,
    )
    async with served(app) as url:
        yield CodecServer(url, keyring)


async def test_codec_server_decodes_web_ui_requests() -> None:
    async with codec_server() as server:
        answer = await server.send("/decode", await server.body())
    assert answer.status == 200
    written = {
        "metadata": {"encoding": base64.b64encode(b"json/plain").decode()},
        "data": base64.b64encode(CLEAR.data).decode(),
    }
    assert answer.payloads == [written, written]
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Cache-Control"] == "no-store"


async def test_encoding_needs_the_setting() -> None:
    async with codec_server() as server:
        refused = await server.send("/encode", in_json([CLEAR]))
    assert (refused.status, "WORKSUB_CODEC_ENCODE" in refused.message) == (403, True)
    async with codec_server(allow_encode=True) as server:
        encoded = await server.send("/encode", in_json([CLEAR]))
        assert PERSON not in encoded.body
        assert (await server.send("/decode", encoded.body.encode())).payloads == json.loads(in_json([CLEAR]))[
            "payloads"
        ]


async def test_cors_allows_only_the_web_ui_origin() -> None:
    preflight = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "x-namespace"}
    async with codec_server() as server:
        ours = await server.send("/decode", b"", method="OPTIONS", token=None, **preflight)
        theirs = await server.send(
            "/decode", b"", method="OPTIONS", token=None, Origin="https://evil.example", **preflight
        )
        page = await server.send("/decode", await server.body(), Origin="https://evil.example")
        no_page = await server.send("/decode", await server.body(), Origin=ORIGIN)
    assert (ours.status, ours.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    assert theirs.headers["Access-Control-Allow-Origin"] is None
    assert (page.status, page.headers["Access-Control-Allow-Origin"]) == (403, None)
    assert no_page.status == 200


async def test_missing_or_wrong_token_is_rejected() -> None:
    async with codec_server() as server:
        body = await server.body()
        for token, headers in (
            (None, {}),
            (new_token(), {}),
            ("", {}),
            (None, {"Authorization": f"Basic {TOKEN}"}),
            (token_hash(TOKEN).hex(), {}),
            ("a.b.c", {}),
        ):
            answer = await server.send("/decode", body, token=token, **headers)
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert TOKEN not in answer.body


async def test_invalid_codec_request_is_refused_with_message() -> None:
    stranger = await AesGcmPayloadCodec(other := new_keyring()).encode([CLEAR])
    async with codec_server() as server:
        unknown = await server.send("/decode", in_json(stranger))
        assert (unknown.status, other.keys[0].id in unknown.message) == (422, True)
        for body in (b"", b"{", b'{"payloads": 5}', b"\xff"):
            assert (await server.send("/decode", body)).status == 400
        deep = b'{"payloads":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
        assert (await server.send("/decode", deep)).status == 400
        assert (await server.send("/decode", b"x" * (MAX_BODY_BYTES + 1))).status == 413
        for namespace in ("other", ""):
            assert (await server.send("/decode", await server.body(), X_Namespace=namespace)).status == 404
        for path in ("/", "/docs", "/openapi.json", "/decode/"):
            assert (await server.send(path, b"{}")).status in (404, 307)
        assert (await server.send("/decode", b"", method="GET")).status == 405


async def test_caller_over_rate_limit_is_refused() -> None:
    tokens = [TOKEN, new_token()]
    callers = TokenAuthenticator(
        {token_hash(token).hex(): name for token, name in zip(tokens, "ab", strict=True)}
    )
    async with codec_server(callers, request_limit="2/hour") as server:
        body = await server.body()
        for token in tokens:
            answers = [(await server.send("/decode", body, token=token)).status for _ in range(3)]
            assert answers == [200, 200, 429]


async def test_failed_authentications_block_the_caller() -> None:
    async with codec_server(failure_limit="2/hour") as server:
        body = await server.body()
        assert [(await server.send("/decode", body)).status for _ in range(3)] == [200, 200, 200]
        guesses = [(await server.send("/decode", body, token=new_token())).status for _ in range(3)]
        assert guesses == [401, 401, 429]
        assert (await server.send("/decode", body)).status == 429


async def test_concurrent_token_guesses_respect_the_limit() -> None:
    with open_provider() as provider:
        signed_in = OidcAuthenticator(Issuer(provider.name, AUDIENCE, provider.url))
        async with codec_server(signed_in, failure_limit="5/hour", request_limit="10/hour") as server:
            body, past = await server.body(), datetime.now(UTC) - timedelta(hours=1)

            async def burst(token: str, size: int) -> Counter[int]:
                calls = (server.send("/decode", body, token=token) for _ in range(size))
                return Counter(answer.status for answer in await asyncio.gather(*calls))

            # Fewer concurrent calls than allowed failures; all tokens are valid, so none counts as a failure.
            assert sum([await burst(provider.token(), 4) for _ in range(4)], Counter()) == {200: 10, 429: 6}
            assert await burst(provider.token(exp=past), 30) == {401: 5, 429: 25}


async def test_log_has_caller_and_payload_count_but_no_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with codec_server() as server:
            await server.send("/decode", await server.body())
            await server.send("/decode", await server.body(), token=None)
            await server.send(f"/{TOKEN}", await server.body())
    records = [(record.getMessage(), getattr(record, "fields", None)) for record in caplog.records]
    shown = ("caller", "payloads", "code", "status")
    per_message = {"Request completed": ("route", "status"), "sign-in refused": ("server", "code")}
    ours = [
        (message, {name: fields[name] for name in per_message.get(message, shown) if name in fields})
        for message, fields in records
        if fields
    ]
    assert ours == [
        ("payloads decoded", {"caller": "token kim", "payloads": 2}),
        ("Request completed", {"route": "/decode", "status": 200}),
        ("codec refused", {"status": 401, "code": "CREDENTIALS_MISSING"}),
        ("Request completed", {"route": "/decode", "status": 401}),
        ("sign-in refused", {"server": "codec", "code": "CREDENTIALS_MISSING"}),
        ("codec refused", {"status": 404, "code": "NOT_FOUND"}),
        ("Request completed", {"route": None, "status": 404}),
    ]
    assert not any(word in caplog.text for word in (PERSON, TOKEN, token_hash(TOKEN).hex()))


async def test_codec_refusals_have_code_and_request_id() -> None:
    encrypted = in_json(await AesGcmPayloadCodec(new_keyring()).encode([CLEAR]))
    async with codec_server(request_limit="4/hour", failure_limit="2/hour") as server:
        body = await server.body()
        refusals = [
            await server.send("/decode", body, Origin="https://evil.example"),
            await server.send("/decode", body, X_Namespace="other"),
            await server.send("/encode", in_json([CLEAR])),
            await server.send("/decode", encrypted),
            await server.send("/decode", b"{"),
            await server.send("/decode", b"x" * (MAX_BODY_BYTES + 1)),
            await server.send("/decode", b"", method="GET"),
            await server.send("/elsewhere", b"{}"),
            await server.send("/decode", b"{}"),
            await server.send("/decode", body, token=None),
            await server.send("/decode", body, token=new_token()),
            await server.send("/decode", body),
        ]
        named = await server.send("/decode", body, X_Request_Id="ours-4711")
    assert [(refusal.status, refusal.code) for refusal in refusals] == [
        (403, "ORIGIN_REFUSED"),
        (404, "NAMESPACE_UNKNOWN"),
        (403, "ENCODING_OFF"),
        (422, "KEY_UNKNOWN"),
        (400, "MALFORMED_BODY"),
        (413, "PAYLOAD_TOO_LARGE"),
        (405, "METHOD_NOT_ALLOWED"),
        (404, "NOT_FOUND"),
        (429, "RATE_LIMITED"),
        (401, "CREDENTIALS_MISSING"),
        (401, "CREDENTIALS_UNKNOWN"),
        (429, "TOO_MANY_FAILURES"),
    ]
    assert named.headers["X-Request-Id"] == "ours-4711"


# -- users who sign in -------------------------------------------------------------------------------


class Provider:
    """The keys endpoint of an OpenID Connect provider, on a local port."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = "https://login.example"
        self.url = ""
        self.fetches = 0
        self.kid = "1"

    def rotate(self) -> None:
        """Replace the key by another one with another ID."""
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.kid = f"{int(self.kid) + 1}"

    def token(self, key: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        lives_until = datetime.now(UTC) + timedelta(hours=1)
        usual = {"iss": self.name, "aud": AUDIENCE, "sub": "u-1042", "exp": lives_until}
        sent = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return jwt.encode(sent, key or self.key, algorithm=algorithm, headers={"kid": self.kid})

    def keys(self) -> bytes:
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        return json.dumps({"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "ES256"}]}).encode()


@contextmanager
def open_provider() -> Iterator[Provider]:
    provider = Provider()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.fetches += 1
            body = provider.keys()
            self.send_response(200 if self.path == "/keys" else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        provider.url = f"http://127.0.0.1:{server.server_address[1]}/keys"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()


async def test_token_needs_issuer_audience_and_valid_expiry() -> None:
    with open_provider() as provider:
        signed_in = OidcAuthenticator(Issuer(provider.name, AUDIENCE, provider.url))
        callers = CombinedAuthenticator(TokenAuthenticator({token_hash(TOKEN).hex(): "kim"}), signed_in)
        async with codec_server(callers, failure_limit="100/hour") as server:
            body = await server.body()
            for token in (provider.token(), TOKEN, provider.token(aud=["other", AUDIENCE])):
                assert (await server.send("/decode", body, token=token)).status == 200
            assert provider.fetches == 1, "keys are kept"
            past = datetime.now(UTC) - timedelta(minutes=5)
            forged = ec.generate_private_key(ec.SECP256R1())
            header, claims, signature = provider.token().split(".")
            none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"1"}').rstrip(b"=").decode()
            for token in (
                provider.token(exp=past),
                provider.token(exp=None),
                provider.token(aud="another application"),
                provider.token(aud=None),
                provider.token(iss="https://evil.example"),
                provider.token(sub=None),
                provider.token(nbf=datetime.now(UTC) + timedelta(hours=1)),
                provider.token(forged),
                provider.token("a secret that is long enough to be one", "HS256"),
                f"{none}.{claims}.",
                f"{header}.{claims}.{signature[:-4]}AAAA",
                "not.a.token",
            ):
                assert (await server.send("/decode", body, token=token)).status == 401


async def test_unavailable_identity_provider_is_no_failed_attempt() -> None:
    with open_provider() as provider:
        token = provider.token()
    async with codec_server(OidcAuthenticator(Issuer(provider.name, AUDIENCE, provider.url))) as server:
        answer = await server.send("/decode", await server.body(), token=token)
    assert (answer.status, answer.code) == (503, "ISSUER_UNREACHABLE")


async def test_failing_identity_provider_is_not_queried_per_caller() -> None:
    with open_provider() as provider:
        signed_in = OidcAuthenticator(Issuer(provider.name, AUDIENCE, f"{provider.url}/elsewhere"))
        async with codec_server(signed_in) as server:
            body, token = await server.body(), provider.token()
            answers = [await server.send("/decode", body, token=token) for _ in range(20)]
    assert {(answer.status, answer.code) for answer in answers} == {(503, "ISSUER_UNREACHABLE")}
    assert provider.fetches < len(answers)


async def test_rotated_key_is_accepted_and_unknown_keys_rarely_fetched() -> None:
    with open_provider() as provider:
        signed_in = OidcAuthenticator(Issuer(provider.name, AUDIENCE, provider.url))
        async with codec_server(signed_in, failure_limit="1000/hour") as server:
            body = await server.body()
            for _ in range(3):
                assert (await server.send("/decode", body, token=provider.token())).status == 200
                provider.rotate()
            fetched, token = provider.fetches, provider.token()
            provider.rotate()  # the token's key is not published any more
            answers = [await server.send("/decode", body, token=token) for _ in range(20)]
    assert {(answer.status, answer.code) for answer in answers} == {(401, "TOKEN_INVALID")}
    assert fetched == 3
    assert 1 <= provider.fetches - fetched <= 5


@pytest.mark.parametrize(("seconds", "status"), [(5, 200), (15, 401), (60, 401)])
async def test_expired_token_is_accepted_within_ten_second_leeway(seconds: int, status: int) -> None:
    with open_provider() as provider:
        signed_in = OidcAuthenticator(Issuer(provider.name, AUDIENCE, provider.url))
        async with codec_server(signed_in) as server:
            token = provider.token(exp=datetime.now(UTC) - timedelta(seconds=seconds))
            answer = await server.send("/decode", await server.body(), token=token)
    assert answer.status == status
    assert status == 200 or answer.code == "TOKEN_EXPIRED"


# -- settings ----------------------------------------------------------------------------------------

KEY = {KEYS: str(new_keyring().keys[0])}
OIDC = {
    "WORKSUB_CODEC_OIDC_ISSUER": "https://login.example",
    "WORKSUB_CODEC_OIDC_AUDIENCE": AUDIENCE,
    "WORKSUB_CODEC_OIDC_KEYS_URL": "https://login.example/keys",
}
ENOUGH = {**KEY, **OIDC, "WORKSUB_CODEC_ORIGIN": ORIGIN}


def test_default_settings_decode_and_listen_on_loopback() -> None:
    settings = CodecSettings.load(ENOUGH)
    assert (str(settings.address), settings.origin, settings.allow_encode) == (
        "127.0.0.1:8234",
        ORIGIN,
        False,
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({KEYS: ""}, "WORKSUB_ENCRYPTION_KEYS_FILE and WORKSUB_ENCRYPTION_KEYS are not set"),
        ({"WORKSUB_CODEC_ORIGIN": "*"}, "WORKSUB_CODEC_ORIGIN is '\\*'"),
        ({"WORKSUB_CODEC_ORIGIN": f"{ORIGIN}/ui"}, "without a path"),
        ({"WORKSUB_CODEC_OIDC_AUDIENCE": ""}, "set together with WORKSUB_CODEC_OIDC_AUDIENCE"),
        (dict.fromkeys(OIDC, ""), "no caller could be authenticated"),
        ({"WORKSUB_CODEC_ADDRESS": "8234"}, "WORKSUB_CODEC_ADDRESS is '8234'"),
        ({"WORKSUB_CODEC_ENCODE": "perhaps"}, "should be a valid boolean"),
        ({"WORKSUB_CODEC_TOKENS_FILE": "/nowhere"}, "/nowhere, which cannot be read"),
    ],
)
def test_invalid_setting_is_named_in_the_error(changed: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        CodecSettings.load({**ENOUGH, **changed})


def test_all_missing_settings_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        CodecSettings.load({})
    assert [line.split()[0] for line in str(error.value).splitlines()] == [
        "WORKSUB_ENCRYPTION_KEYS_FILE",
        "WORKSUB_CODEC_ORIGIN",
        "WORKSUB_CODEC_OIDC_ISSUER",
    ]


async def test_token_file_contains_only_hashes(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# operators\n{token_line('kim', TOKEN)}\n")
    assert TOKEN not in file.read_text()
    only_tokens = {**ENOUGH, **dict.fromkeys(OIDC, ""), "WORKSUB_CODEC_TOKENS_FILE": str(file)}
    callers = CodecSettings.load(only_tokens).authenticator
    assert await callers.named(f"Bearer {TOKEN}") == "token kim"
    file.write_text(f"kim:{TOKEN}\n")
    with pytest.raises(SettingsError, match="line 1 is not NAME:SHA256") as refused:
        CodecSettings.load(only_tokens)
    assert TOKEN not in str(refused.value)
