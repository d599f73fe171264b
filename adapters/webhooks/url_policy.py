"""Target URL policy of webhooks: HTTPS and public addresses only (SSRF protection).

The URL is checked when an endpoint is registered and before each call. `adapters.webhooks.http_client` also
checks the resolved addresses, against DNS rebinding.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")

# Special-purpose addresses (RFC 6890) that older Python versions do not know, and 168.63.129.16. That address
# is in no registry: Azure uses it to serve each virtual machine its secrets.
_SPECIAL_V4 = tuple(
    map(
        IPv4Network,
        (
            *("168.63.129.16/32", "192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
            "192.175.48.0/24",
        ),
    )
)

# 2001::/23 contains Teredo and ORCHID, 2002::/16 is 6to4. They embed other addresses and are obsolete.
_SPECIAL_V6 = tuple(
    map(
        IPv6Network,
        ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20"),
    )
)


def url_problem(url: str, *, allow_private_targets: bool) -> str | None:
    """Return why this URL is not allowed, or None if it is allowed.

    `allow_private_targets` disables the SSRF protection: it allows plain HTTP and any address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if len(url) > 2000 or not url.isascii() or not url.isprintable() or " " in url:
        return "must be at most 2000 printable ASCII characters without spaces"
    if parts.scheme != "https" and not (allow_private_targets and parts.scheme == "http"):
        return "must begin with https://"
    if not host or port == 0:
        return "must name a host"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "must not contain a login or a fragment"
    try:
        address = ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        well_formed = all(1 <= len(label) <= 63 for label in labels)
        return None if well_formed else "must name a host with 1 to 63 characters between dots"
    return None if allow_private_targets or is_public(address) else "must not be at an internal address"


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether the address is public and does not embed an address that is not public."""
    if isinstance(address, IPv6Address):
        embedded = _embedded(address)
        if embedded is not None:
            return is_public(embedded)
        special = address not in _UNICAST or any(address in network for network in _SPECIAL_V6)
    else:
        special = any(address in network for network in _SPECIAL_V4)
    return address.is_global and not (special or address.is_multicast or address.is_reserved)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address to which NAT64 or the local IP stack translates this address, or None."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
