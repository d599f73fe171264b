"""Raw HTTP requests: known server-breaking requests and random combinations of them."""

import asyncio
import re
from collections.abc import Iterator

from support.sizes import IS_LARGE

from .mutations import Mutator

_HOST = b"Host: 127.0.0.1\r\n"
PATHS = (
    b"/v1/subscriptions",
    b"/",
    b"/works/sign-in",
    b"/sign-in",
    b"/docs",
    b"/healthz",
    b"/decode",
    b"/livez",
)
METHODS = (
    *(b"GET", b"POST", b"HEAD", b"OPTIONS", b"CONNECT", b"TRACE", b"PUT", b"DELETE", b"PATCH", b"PRI"),
    *(b"get", b"G\0T", b"", b"\xff", b"GET " * 40, b"PROPFIND", b"QUERY"),
)
TARGETS = (
    *(b"*", b"foo", b"", b"?", b"#", b"//", b"//evil.example/", b"/..", b"/../../etc/passwd", b"/%", b"/%00"),
    *(
        b"/%ff%fe",
        b"/\xff",
        b"/v1",
        b"/v1/",
        b"/v1/%00",
        b"/v1/subscriptions/%00",
        b"/v1/subscriptions?a=%00",
    ),
    *(b"/works/sign-in?%00=1", b"/subscriptions/%2e%2e", b"http://127.0.0.1/v1", b"http://", b"example:443"),
    *(
        b"/static/%00",
        b"/static/../app.py",
        b"/static/..%2fapp.py",
        b"/static/" + b"a" * 300,
        b"/invoices/%00",
    ),
    *(
        b"/v1/subscriptions?limit=" + b"9" * 400,
        b"/?" + b"a=1&" * 2_000,
        b"/" + b"%2f" * 100,
        b"/sign-in?next=%00",
    ),
    *(
        b"/request/%F0%9F%92%A3",
        b"/a;b=c",
        b"/\\",
        b"/{}",
        b"/${x}",
        b"/%252e",
        b"/%u0000",
        b"/v1/events/%0d%0aa:b",
    ),
)
HEADERS = (
    *(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Content-Length: 1\r\nContent-Length: 2\r\n"),
    *(b"Content-Length: -1\r\n", b"Content-Length: " + b"1" * 5_000 + b"\r\n", b"Content-Length: 1e3\r\n"),
    *(
        b"Content-Length: \xc2\xb2\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
    ),
    *(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n"),
    *(
        b"Host: a\r\nHost: b\r\n",
        b"Host: \xff\r\n",
        b"Host: [\r\n",
        b"Host: a b\r\n",
        b"Host:\r\n",
        b"Host: a:b:c\r\n",
    ),
    *(
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n",
    ),
    *(
        b"Expect: 100-continue\r\n",
        b"Expect: 200\r\n",
        b"Connection: close, keep-alive\r\n",
        b": empty\r\n",
        b"a\r\n",
    ),
    *(b" folded: x\r\n", b"a: b\r\n c\r\n", b"a: \0\r\n", b"\xff: \xff\r\n", b"a" * 20_000 + b": b\r\n"),
    *(
        b"Authorization: Bearer\r\n",
        b"Authorization: Bearer \xff\xfe\r\n",
        b"Authorization: Bearer wsk_\0\r\n",
    ),
    *(b"Authorization: \r\n", b"Authorization: Basic !!!\r\n", b"Authorization: Bearer a.b.c\r\n"),
    *(b"Cookie: console=\xff\r\n", b"Cookie: console=%00; works-admin=\x80\r\n", b"Cookie: ;;;=;a\r\n"),
    *(
        b"Cookie: " + b"a=b; " * 2_000 + b"\r\n",
        b'Cookie: draft="\\000\\377"\r\n',
        b"Cookie: language=\x01\r\n",
    ),
    *(
        b"Accept-Language: " + b"q;q=x," * 300 + b"\r\n",
        b"Accept-Language: \xff;q=\xff\r\n",
        b"Accept-Encoding: \xff\r\n",
    ),
    *(b"X-Request-Id: \xff\r\n", b"Last-Event-ID: " + b"9" * 5_000 + b"\r\n", b"Last-Event-ID: x\r\n"),
    *(
        b"If-None-Match: \xff\r\n",
        b"If-Modified-Since: x\r\n",
        b"Range: bytes=9-1\r\n",
        b"Range: bytes=0-,0-,0-\r\n",
    ),
    *(b"Content-Type: \xff\r\n", b"Content-Type: application/json; charset=\0\r\n", b"Referer: http://[\r\n"),
    *(
        b"Origin: http://[\r\n",
        b"Origin: null\r\n",
        b"X-Forwarded-For: \xff\r\n",
        b"X-Forwarded-For: a, b,,\r\n",
    ),
    *(
        b"X-Forwarded-Proto: \xff\r\n",
        b"Idempotency-Key: \xff\r\n",
        b"X-Namespace: \xff\r\n",
        b"Sec-Fetch-Site: \xff\r\n",
    ),
)
BODIES = (
    *(
        b"",
        b"{",
        b"\xff",
        b"0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"zz\r\n",
        b"-1\r\n",
        b"f" * 40 + b"\r\n",
        b"5;\0\r\n",
    ),
    *(
        b"ffffffffffffffff\r\n",
        b"5\r\nhell",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3,
        b"[" * 3_000,
        b"a=%00&proof=%ff",
    ),
)
ENDINGS = (
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/0.9",
    b"HTTP/2.0",
    b"HTTP/9.9",
    b"HTTP/1.1 x",
    b"",
    b"http/1.1",
    b"HTTP/\xff",
)


def single_error_requests(*main_paths: bytes) -> Iterator[bytes]:
    """Yield requests with one error each: errors in headers on these paths, or on all with large sizes."""
    for path in PATHS:
        for method in METHODS:
            yield method + b" " + path + b" HTTP/1.1\r\n" + _HOST + b"\r\n"
    for path in PATHS if IS_LARGE else main_paths:
        for headers in HEADERS:
            host = b"" if headers.startswith(b"Host") else _HOST
            for method, body in ((b"GET", b""), (b"POST", b"5\r\nhello\r\n0\r\n\r\n")):
                yield method + b" " + path + b" HTTP/1.1\r\n" + host + headers + b"\r\n" + body
    for target in TARGETS:
        for method in (b"GET", b"POST", b"OPTIONS", b"CONNECT"):
            yield method + b" " + target + b" HTTP/1.1\r\n" + _HOST + b"Content-Length: 0\r\n\r\n"
    for body in BODIES:
        for framing in (b"Content-Length: %d\r\n" % len(body), b"Transfer-Encoding: chunked\r\n"):
            for path in (b"/v1/subscriptions", b"/works/sign-in", b"/decode"):
                yield b"POST " + path + b" HTTP/1.1\r\n" + _HOST + framing + b"\r\n" + body
    for ending in ENDINGS:
        yield b"GET / " + ending + b"\r\n" + _HOST + b"\r\n"
    yield from (
        b"GET foo\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"\0",
        b"\x16\x03\x01\x02\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    )


def random_request(seed: int) -> bytes:
    """Generate a request with several errors."""
    mutator = Mutator(seed)
    head = b" ".join(
        (mutator.choice_of(METHODS[:8]), mutator.choice_of(PATHS + TARGETS), mutator.choice_of(ENDINGS[:2]))
    )
    headers = b"".join(mutator.choice_of(HEADERS) for _ in range(mutator.choice_of((0, 1, 2, 3))))
    return mutator.corrupted(head + b"\r\n" + _HOST + headers + b"\r\n" + mutator.choice_of(BODIES))


async def status_of(port: int, sent: bytes) -> int | None:
    """Return the status of the first response; None if the connection closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(30):
            line = await reader.readline()
    except ConnectionError:
        return None
    finally:
        writer.close()
    # A server may answer an apparent HTTP/0.9 request without a status line.
    found = re.match(rb"HTTP/1\.[01] (\d{3})", line)
    return int(found[1]) if found else None
