"""Random mutation of valid values, texts and files into malformed input."""

import copy
import json
import math
from collections.abc import Callable, Sequence
from datetime import date, datetime
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

_SPELLINGS = (
    "", " ", "\t", "\0", "a\0b", "\ud800", "a\udfffb", "\x1b[31mred", "\r\nBcc: a@b.kr", "\x7f", "\u0085",
    # Bidirectional, invisible and look-alike characters.
    "\u202eevil", "\u2066x\u2069", "\u061c", "\u200b", "\u200dx", "\u3164", "\u115f", "\u2800", "\ufeffa",
    "\u00ad", "\u2028", "\u2029", "\U000e0041", "\ue000", "\ufdd0", "\U0010ffff", "\u0430cme",
    "\uff41\uff43\uff4d\uff45", "\ufb01", "\u0130", "e\u0301" * 60, "\U0001f4a3" * 50, "\ud55c\uae00",
    # Domains.
    "fa\u00df.example", "a\u200db.kr", "\u0915\u094d\u200d\u0937.example", "xn--", "xn--.kr", "xn--a.kr",
    "xn--zckzah.xn--", "xn--\u00fc.kr", "xn--99zzzzz9999999.kr", "ab--cd.kr",
    "a" * 63 + ".kr", "a" * 64 + ".kr",
    "\ud55c" * 63 + ".kr", ".".join(["a" * 63] * 4), ".".join("ab" * 64), "\ud55c\uae00.\ud55c\uad6d",
    "a\u3002kr", "a..b", ".a.b", "a.b.", "-a.b", "a-.b", "a.123", "1.1.1.1", "[::1]", "localhost", "*.kr",
    "_dmarc.a.kr", "A.KR", "xn--MGBERP4A5D4AR", "\u0430\u0440\u0440\u04cf\u0435.com", "a\ud55c\u0430.kr",
    # Injection for other interpreters.
    "'; DROP TABLE subscriptions; --", '" OR 1=1', "$$;$$", "<script>alert(1)</script>", "<b>&amp;",
    "{{7*7}}", "${jndi:ldap://a}", "%s%n%x", "../../etc/passwd", "file:///dev/zero", "`id`", "\\", "\\u0000",
    "null", "~",
    # Invalid or extreme numbers, dates and times.
    "10", "10.0", "-0", "1e400", "NaN", "Infinity", "0x10", "\u0661\u0662", "1_000", "0010", "true",
    "0001-01-01", "9999-12-31", "10000-01-01", "-001-01-01", "2027-02-29", "2027-13-01", "2027-1-1",
    "20270101",
    "2027-W01-1", "2027-001", "2027-01-01 ", "\uff12\uff10\uff12\uff17-01-01", "2016-12-31T23:59:60Z",
    "2027-01-01T00:00:00", "2027-01-01T00:00:00+24:00", "2027-01-01T24:00:00Z", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00", "2027-01-01T00:00:00.123456789Z", "2027-01-01T00:00:00[Asia/Seoul]",
    "ANNUAL", "annual", "MONTHLY ", "KR", "kr", "VPC", "premium", "lite\n", "constructor", "__proto__",
    "+82 2-1234-5678", "02-1234-5678", "+1 900 000 0000", "112", "tel:+82;ext=1", "\u0660\u0662" * 5,
    "$argon2id$v=19$m=8,t=1,p=1$", "hunter2", "admin@acme", "x" * 41, "x" * 301, "x" * 10_000,
)  # fmt: skip
_NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2, 100_000, 100_001, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**12, 10**30,
    10**400, 10.0, -0.0, 0.1, math.nan, math.inf, -math.inf, 1e308, 5e-324, True, False,
)  # fmt: skip


def _deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


_SHAPES: tuple[Callable[[], Any], ...] = (
    lambda: None,
    list,
    dict,
    lambda: [[]],
    lambda: {"": {}},
    lambda: [None],
    lambda: [{}] * 30,
    lambda: _deep(500),
    lambda: {str(number): number for number in range(1_100)},
    lambda: [0] * 1_100,
    lambda: b"\x00\xff{",
    lambda: date(2027, 1, 1),
    lambda: datetime(2027, 1, 1),
    lambda: {"group": "acme", "domain": "acme.kr"},
    lambda: {"id": "service", "version": "2026-01"},
)


class Mutator:
    """Malformed input generated from one seed, so that a failure is reproducible."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def choice_of(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def text(self) -> str:
        spelled = self.choice_of(_SPELLINGS)
        if self._random.random() < 0.2:
            other = self.choice_of(_SPELLINGS)
            cut = self._random.randint(0, len(spelled))
            return spelled[:cut] + other[:300] + spelled[cut:]
        return spelled

    def value(self) -> Any:
        kind = self._random.random()
        if kind < 0.6:
            return self.text()
        return self.choice_of(_NUMBERS) if kind < 0.85 else self.choice_of(_SHAPES)()

    def mutated(self, body: Any) -> Any:
        """Return a copy with one to three errors at any depth, or sometimes an unrelated value."""
        if self._random.random() < 0.02:
            return self.value()
        body = copy.deepcopy(body)
        for _ in range(self.choice_of((1, 1, 1, 2, 3))):
            self._mutate(body)
        return body

    def _mutate(self, body: Any) -> None:
        keys: list[Any] = list(body) if isinstance(body, dict) else list(range(len(body)))
        if not keys:
            return
        key = self.choice_of(keys)
        inner = body[key]
        if isinstance(inner, dict | list) and inner and self._random.random() < 0.7:
            self._mutate(inner)
            return
        how = self._random.random()
        if isinstance(body, dict) and how < 0.08:
            del body[key]
        elif isinstance(body, dict) and how < 0.16:
            body[self.text()] = self.value()
        elif isinstance(inner, str) and inner and how < 0.5:
            at = self._random.randint(0, len(inner))
            body[key] = inner[:at] + self.text() + inner[at:]
        else:
            body[key] = self.value()

    def bytes_of(self, body: Any) -> bytes:
        """Return the value as JSON, possibly with a few bytes removed or changed."""
        try:
            written = json.dumps(body).encode()
        except (TypeError, ValueError):
            written = repr(body)[:2_000].encode("utf-8", "surrogatepass")
        return self.corrupted(written)

    def corrupted(self, written: bytes) -> bytes:
        data = bytearray(written)
        for _ in range(self.choice_of((0, 0, 1, 1, 2, 8))):
            if not data:
                break
            at = self._random.randrange(len(data))
            match self._random.randrange(4):
                case 0:
                    data[at] = self._random.randrange(256)
                case 1:
                    del data[at : at + self._random.randint(1, 40)]
                case 2:
                    data[at:at] = self.text().encode("utf-8", "surrogatepass")[:400]
                case _:
                    data[at:at] = data[at : at + 40]
        return bytes(data)
