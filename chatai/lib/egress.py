"""Which addresses outside this machine may be spoken to: public ones, and what the operator lists in EGRESS_ALLOW.

Whoever connects asks `addresses` and connects to one of the answers, never to the name: between two look-ups a name may change.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Literal

from django.conf import settings

Kind = Literal["forbidden", "timeout", "too_large", "type", "network", "redirect"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA's special-purpose registry (2025-10) without its few globally reachable entries, and Azure's virtual host of the platform.
CLOSED_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
        *("192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
    )
)
OPEN_V6 = ipaddress.IPv6Network("2000::/3")  # all that is given out as global unicast; mapped, NAT64, local and the rest lie outside
# Inside it: protocol assignments with Teredo and ORCHID, documentation, 6to4, AS112, segment routing.
CLOSED_V6 = tuple(ipaddress.IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
ISATAP = 0x5EFE  # an interface id that carries an IPv4 address: (0000|0200):5efe:a.b.c.d

LOW_PORTS = frozenset({80, 443})  # the only ones under 1024: behind the others nobody speaks HTTP who should be spoken to
NUMERIC = re.compile(r"^(?:0[xX][0-9a-fA-F]*|[0-9]+)$")


class EgressError(Exception):
    """Nothing usable came back, or nothing was sent. The message is a sentence with a host name at most: paths may hold secrets."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def forbidden(address: Address) -> bool:
    """Whether `address` is anything but an ordinary public one."""
    if isinstance(address, ipaddress.IPv4Address):
        return any(address in network for network in CLOSED_V4)
    if address not in OPEN_V6 or address.scope_id:
        return True
    return any(address in network for network in CLOSED_V6) or (int(address) >> 32) & 0xFCFFFFFF == ISATAP


async def addresses(host: str, port: int, low_ports: frozenset[int] = LOW_PORTS) -> list[str]:
    """Where `host` may be connected to, on one of `low_ports` or from 1024 on.

    Raises EgressError: forbidden when any of its addresses is, network when it has none.
    """
    name = plain(host)
    if _miswritten(name):
        raise EgressError("forbidden", f"{name} is not written as an address or a host name.")
    excepted = allowed_by_name(name)
    if not 0 < port < 65536 or (port < 1024 and port not in low_ports and not excepted):
        raise EgressError("forbidden", f"Port {port} of {name} may not be connected to.")
    found = await _look_up(name, port)
    if not excepted and any(forbidden(one) and not _in_allowed_network(one) for one in found):
        raise EgressError("forbidden", f"{name} is not a public address.")
    return [str(one) for one in found]


def check_host(host: str) -> None:
    """Refuse at once, without looking it up, what could never be connected to. Raises EgressError (forbidden)."""
    name = plain(host)
    if _miswritten(name):
        raise EgressError("forbidden", f"{name} is not written as an address or a host name.")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return
    if forbidden(address) and not allowed_by_name(name):
        raise EgressError("forbidden", f"{name} is not a public address.")


async def _look_up(name: str, port: int) -> list[Address]:
    try:
        answers = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
        found = [ipaddress.ip_address(answer[4][0]) for answer in answers]
    except (OSError, UnicodeError, ValueError):  # ValueError: an address of a kind nobody knows
        raise EgressError("network", f"{name} could not be found.") from None
    if not found:
        raise EgressError("network", f"{name} could not be found.")
    return list(dict.fromkeys(found))


def plain(host: str) -> str:
    """As it is compared: lower case, without brackets or the dot of the root."""
    return host.strip("[]").lower().removesuffix(".")


def _miswritten(name: str) -> bool:
    """Whether `name` is nothing, or an IPv4 address in a form other than four decimal numbers (2130706433, 0x7f.1, 0177.0.0.1)."""
    if not name or "%" in name or ".." in f".{name}" or any(mark <= " " or mark == "\x7f" for mark in name):
        return True
    if not NUMERIC.match(name.rpartition(".")[2]):
        return False
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return True
    return False


def allowed_by_name(host: str) -> bool:
    """Whether the operator lists this host, whatever its addresses are."""
    names, networks = exceptions(tuple(settings.EGRESS_ALLOW))
    name = plain(host)
    if name in names:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _in_allowed_network(address: Address) -> bool:
    return any(address in network for network in exceptions(tuple(settings.EGRESS_ALLOW))[1])


@functools.cache
def exceptions(entries: Sequence[str]) -> tuple[frozenset[str], tuple[Network, ...]]:
    """What EGRESS_ALLOW lists, as names and networks. Raises ValueError for a network that is none (a system check says so)."""
    names, networks = set(), []
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry.strip("[]")))
        except ValueError:
            if "/" in entry:
                raise
            names.add(plain(entry))
    return frozenset(names), tuple(networks)
