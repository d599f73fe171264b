"""Webhook target validation (SSRF): only public Internet addresses are allowed."""

from datetime import timedelta
from ipaddress import ip_address

import pytest

from adapters.webhooks.url_policy import is_public, url_problem
from subscription.webhook_events import endpoint_retry_delay, event_retry_delay, pause_of_slow_endpoint

INTERNAL = (
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
    "2001:db8::1",
    # Special-purpose addresses that some Python versions do not recognize.
    "192.0.0.8",
    "192.0.0.9",
    "192.0.0.192",
    "192.88.99.1",
    "168.63.129.16",
    "::ffff:168.63.129.16",
    "64:ff9b::a83f:8110",
    "64:ff9b:1::808:808",
    "fec0::1",
    "3fff::1",
    "3fff:fff:ffff::1",
    "5f00::1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:20::1",
    "2002:808:808::1",
    "::7f00:1",
    "::808:808",
    "::ffff:0:808:808",
    "4000::1",
)
PUBLIC = (
    *("8.8.8.8", "168.63.129.17", "192.0.1.1", "::ffff:8.8.8.8", "64:ff9b::808:808"),
    *("2606:4700:4700::1111", "2001:4860:4860::8888", "2400:cb00::1"),
)


@pytest.mark.parametrize("address", INTERNAL)
def test_internal_addresses(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.acme.example/",
        "ftp://hooks.acme.example/",
        "https:///path",
        "https://hooks..example/",
        "https://.example/",
        "https://./",
        f"https://{'a' * 64}.example/",
        "https://user:word@hooks.acme.example/",  # pragma: allowlist secret
        "https://user@hooks.acme.example/",
        "https://hooks.acme.example/#part",
        "https://hooks.acme.example:0/",
        "https://hooks.acme.example:port/",
        "https://[::1/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://a b/",
        "https://hooks.acme.example/\n",
        "",
    ],
)
def test_invalid_urls_are_refused(url: str) -> None:
    assert url_problem(url, allow_private_targets=False)


def test_valid_urls_are_accepted() -> None:
    assert url_problem("https://hooks.acme.example:8443/worksub?a=1", allow_private_targets=False) is None
    assert url_problem("https://hooks.acme.example./", allow_private_targets=False) is None
    assert url_problem(f"https://{'a' * 63}.example/", allow_private_targets=False) is None
    assert url_problem("http://127.0.0.1:9000/", allow_private_targets=True) is None


def test_retry_delays_grow_and_end() -> None:
    assert [event_retry_delay(n).total_seconds() for n in (1, 2, 3)] == [5, 20, 80]
    assert event_retry_delay(1000) == timedelta(hours=6)
    assert [endpoint_retry_delay(n).total_seconds() for n in (1, 2, 3)] == [2, 4, 8]
    assert endpoint_retry_delay(1000) == timedelta(minutes=10)
    # A slow endpoint has accepted the event, so it waits for at most a minute.
    assert [pause_of_slow_endpoint(n).total_seconds() for n in (1, 5, 6, 1000)] == [2, 32, 60, 60]
