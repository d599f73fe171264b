"""Client identification by IPv4 address or by the network of an IPv6 address."""

import pytest

from entrypoints.http.client_address import client_address


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_clients_are_identified_by_unforgeable_address(address: str, counted: str) -> None:
    assert client_address({"type": "http", "client": (address, 1234)}) == counted


def test_a_socket_without_addresses_has_none() -> None:
    assert client_address({"type": "http", "client": None}) == ""
