"""Webhooks: what other systems are told, where they may be, and how long it is tried."""

from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal
from urllib.parse import urlsplit

from subscription.calendar import Instant
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.state import State

PARKED_AFTER = timedelta(days=3)
"""An event that could not be told for so long is parked."""
_LONGEST_ENDPOINT_PAUSE = timedelta(minutes=10)
_LONGEST_SLOW_PAUSE = timedelta(minutes=1)
_LONGEST_EVENT_PAUSE = timedelta(hours=6)

TYPE_PREFIX = "worksub.subscription."
TRIAL_TYPE = "worksub.webhook.test"
DATA_SCHEMA = "urn:worksub:schema:subscription-event:1"
"""The `$id` of the JSON Schema of `data`: docs/schemas/subscription-event.json, served by the API as well."""
_SOURCE = "/worksub/subscriptions"

_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
# The registries of special-purpose addresses (RFC 6890), of which a version of Python knows those of its day;
# and one that has no registry: Azure answers every virtual machine there, with its secrets.
_SPECIAL_V4 = tuple(
    map(
        IPv4Network,
        (
            *("168.63.129.16/32", "192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
            "192.175.48.0/24",
        ),
    )
)
# 2001::/23 has Teredo and ORCHID in it, 2002::/16 is 6to4: they stand for other addresses and are obsolete.
_SPECIAL_V6 = tuple(
    map(
        IPv6Network,
        ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20"),
    )
)


class DeliveryState(StrEnum):
    WAITING = "WAITING"
    DELIVERED = "DELIVERED"
    """The endpoint has answered 2xx."""
    PARKED = "PARKED"
    """It was tried for three days, and is tried again when somebody asks for it."""


class EndpointStatus(StrEnum):
    ENABLED = "ENABLED"
    PAUSED = "PAUSED"
    """Events are queued and not sent, until the endpoint is enabled again."""
    DISABLED = "DISABLED"
    """The endpoint has answered 410: events are neither queued nor sent, until it is enabled again."""


class Told(Frozen):
    """`data` of an event: an entry of the timeline, whose it is, and the ledger lines that it posted."""

    subscription_id: str
    customer_id: str
    sequence: int
    event: str
    state: State
    message: str
    ledger: tuple[LedgerLine, ...] = ()


class CloudEvent(Frozen):
    """CloudEvents 1.0 in JSON. `id` is the same at every attempt; `sequence` orders a subject's events."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str = _SOURCE
    type: str
    subject: str | None = None
    time: Instant
    sequence: str | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str | None = None
    data: Told | None = None


def event_type(event: str) -> str:
    return TYPE_PREFIX + event.lower()


def cloud_event(told: Told, at: datetime) -> CloudEvent:
    return CloudEvent(
        id=f"{told.subscription_id}.{told.sequence}",
        type=event_type(told.event),
        subject=told.subscription_id,
        time=at,
        sequence=f"{told.sequence:010}",
        dataschema=DATA_SCHEMA,
        data=told,
    )


def trial_event(number: int, at: datetime) -> CloudEvent:
    """What an endpoint is sent to see whether it listens."""
    return CloudEvent(id=f"test.{number}", type=TRIAL_TYPE, time=at)


def pause_of_event(attempts: int) -> timedelta:
    """How long to wait after so many failures of one event: 5 s, 20 s, 80 s and so on, up to 6 hours."""
    return min(timedelta(seconds=5 * 4 ** min(attempts - 1, 8)), _LONGEST_EVENT_PAUSE)


def pause_of_endpoint(failures: int) -> timedelta:
    """How long nothing is sent to an endpoint that failed so often in a row: 2 s, 4 s, up to 10 minutes."""
    return min(timedelta(seconds=2 ** min(failures, 10)), _LONGEST_ENDPOINT_PAUSE)


def pause_of_slow_endpoint(failures: int) -> timedelta:
    """Return the pause after a call that succeeded slowly: as after a failure, up to a minute."""
    return min(pause_of_endpoint(failures), _LONGEST_SLOW_PAUSE)


def url_problem(url: str, *, anywhere: bool) -> str | None:
    """Why nothing may be sent to this URL; None if it may. `anywhere` allows plain HTTP and any address."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if len(url) > 2000 or not url.isascii() or not url.isprintable() or " " in url:
        return "must be at most 2000 printable ASCII characters without spaces"
    if parts.scheme != "https" and not (anywhere and parts.scheme == "http"):
        return "must begin with https://"
    if not host or port == 0:
        return "must name a host"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "must have no login and no fragment in it"
    try:
        address = ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        well_formed = all(1 <= len(label) <= 63 for label in labels)
        return None if well_formed else "must name a host with 1 to 63 characters between dots"
    return None if anywhere or is_public(address) else "must not be at an internal address"


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether the address is one of the public Internet, and does not stand for one that is not."""
    if isinstance(address, IPv6Address):
        stands_for = _embedded(address)
        if stands_for is not None:
            return is_public(stands_for)
        special = address not in _UNICAST or any(address in each for each in _SPECIAL_V6)
    else:
        special = any(address in each for each in _SPECIAL_V4)
    return address.is_global and not (special or address.is_multicast or address.is_reserved)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that a translator on the way, or the machine itself, makes of this one."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
