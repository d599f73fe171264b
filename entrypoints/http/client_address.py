"""Client address: the key of rate limits for unauthenticated requests."""

from ipaddress import IPv6Address, IPv6Network, ip_address

from starlette.types import Scope


def client_address(scope: Scope) -> str:
    """Return the client's IPv4 address, or its IPv6 /64 network, in which a client can choose its address."""
    client = scope.get("client")
    if not client:
        return ""
    try:
        address = ip_address(client[0])
    except ValueError:  # a proxy has set a value that is not an IP address
        return str(client[0])
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)
