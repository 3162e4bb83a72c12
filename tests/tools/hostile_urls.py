"""Addresses that lead inside: every special range in every way of writing it, names that resolve there, and addresses that lie."""

from __future__ import annotations

import ipaddress

# The first or a telling address of every range that is not public.
INSIDE_V4 = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.254", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.1.2.3", "169.254.169.254"),
    *("169.254.170.2", "172.16.0.1", "172.31.255.254", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1"),
    *("192.168.255.254", "198.18.0.1", "198.19.255.254", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "168.63.129.16"),
)
INSIDE_V6 = (
    *("::", "::1", "fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "100::1", "2001::1"),
    *("2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", "5f00::1", "64:ff9b:1::1", "2620:4f:8000::1", "4000::1"),
    *("fe80::1%25eth0", "fe80::1%eth0", "::2", "0:0:0:0:0:0:0:1", "::ffff:0:127.0.0.1"),
)
TELLING = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.0.1", "172.16.0.1")


def _wrapped(address: str) -> list[str]:
    """One IPv4 address inside of IPv6 ones: mapped, compatible, NAT64, 6to4, Teredo, ISATAP."""
    v4 = ipaddress.IPv4Address(address)
    high, low = f"{int(v4) >> 16:x}", f"{int(v4) & 0xFFFF:x}"
    flipped = int(v4) ^ 0xFFFFFFFF
    return [
        f"[::ffff:{address}]",
        f"[::ffff:{high}:{low}]",
        f"[::{address}]",
        f"[64:ff9b::{address}]",
        f"[64:ff9b::{high}:{low}]",
        f"[2002:{high}:{low}::1]",
        f"[2001:0:4136:e378:8000:63bf:{flipped >> 16:x}:{flipped & 0xFFFF:x}]",
        f"[2a00:1450:4001:81c:0:5efe:{high}:{low}]",
        f"[2a00:1450:4001:81c:200:5efe:{high}:{low}]",
    ]


def _respelled(address: str) -> list[str]:
    """One IPv4 address as inet_aton, old browsers and Unicode take it."""
    a, b, c, d = (int(part) for part in address.split("."))
    number = int(ipaddress.IPv4Address(address))
    full = str.maketrans("0123456789.", "".join(chr(0xFF10 + digit) for digit in range(10)) + "。")
    return [
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"0000{a:o}.{b}.{c}.{d}",
        f"{a}.{(b << 16) + (c << 8) + d}",
        f"{a}.{b}.{(c << 8) + d}",
        f"{a:#X}.{b}.0{c:o}.{d}",
        f"{a}.{b}.{c}.{d}.",
        f"{a}.{b}.{c}.{d + 256}" if a == 127 else f"{a:03d}.{b:03d}.{c:03d}.{d:03d}.",
        address.translate(full),
        address.replace(".", "。"),
        "".join(f"%{ord(mark):02x}" for mark in address),
    ]


# Names, and what they resolve to.
NAMES: dict[str, list[str]] = {
    "localhost": ["127.0.0.1"],
    "localhost6": ["::1"],
    "metadata.google.internal": ["169.254.169.254"],
    "router": ["192.168.0.1"],
    "private.test": ["10.1.2.3"],
    "private6.test": ["fd12:3456::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "nat64.test": ["64:ff9b::7f00:1"],
    "mixed.test": ["93.184.216.34", "127.0.0.1"],
    "mixed6.test": ["2606:2800:220:1:248:1893:25c8:1946", "::1"],
    "zero.test": ["0.0.0.0"],
    "127.0.0.1.nip.test": ["127.0.0.1"],
    "multicast.test": ["224.0.0.251"],
}

LIES = (
    "http://good.test@127.0.0.1/",
    "http://user:word@127.0.0.1/",
    "http://user:word@good.test/",
    "http://good.test:80@10.0.0.1/",
    "http://127.0.0.1#@good.test/",
    "http://127.0.0.1?@good.test/",
    "http://127.0.0.1\\@good.test/",
    "http://good.test\\@127.0.0.1/",
    "http://good.test#@127.0.0.1:0/",
    "http:127.0.0.1/",
    "http:///127.0.0.1/",
    "http:/127.0.0.1/",
    "//127.0.0.1/",
    "127.0.0.1",
    "http://",
    "http://:80/",
    "http://[::1",
    "http://[::1]]/",
    "http://[127.0.0.1]/",
    "http://127.0.0.1 /",
    "http://127.0.0.1\t/",
    "http://12\n7.0.0.1/",
    "http://127.0.0.1%00.good.test/",
    "http://127.0.0.1%2f.good.test/",
    "http://127.0.0.1:99999/",
    "http://0/",
    "http://0x/",
    "http://1/",
    "http://.../",
    "http://public.test:22/",
    "http://93.184.216.34:25/",
    "http://93.184.216.34:22/",
    "https://93.184.216.34:993/",
    "http://93.184.216.34:0/",
    "",
    " ",
    *(
        f"{scheme}127.0.0.1/etc/passwd"
        for scheme in ("ftp://", "gopher://", "dict://", "ldap://", "tftp://", "jar:http://", "ws://", "HTTPS+x://")
    ),
    *("file:///etc/passwd", "file://127.0.0.1/etc/passwd", "data:text/plain,hello", "javascript:alert(1)", "unix:///var/run/docker.sock"),
    "http+unix://%2fvar%2frun%2fdocker.sock/",
)


def _addresses() -> list[str]:
    hosts = [*INSIDE_V4, *(f"[{address}]" for address in INSIDE_V6)]
    for address in TELLING:
        hosts += _wrapped(address) + _respelled(address)
    hosts += [spelling for name in NAMES for spelling in (name, name.upper(), f"{name}.")]
    return [f"http://{host}/" for host in dict.fromkeys(hosts)]


URLS: list[str] = [*_addresses(), *LIES]
