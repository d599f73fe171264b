"""Client address by which callers are counted and limited."""

from ipaddress import IPv6Address, IPv6Network, ip_address

from starlette.types import Scope


def client_address(scope: Scope) -> str:
    """Return the IPv4 address, or the IPv6 network of 64 bits, in which a client can choose its address."""
    client = scope.get("client")
    if not client:
        return ""
    try:
        address = ip_address(client[0])
    except ValueError:  # what a proxy has written
        return str(client[0])
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)
