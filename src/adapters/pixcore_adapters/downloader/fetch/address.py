"""Which IP addresses are public, in every spelling. Pure functions without DNS lookups."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NOT_PUBLIC_V4 = (
    IPv4Network("168.63.129.16"),  # a public number, but within Azure it is the host agent, which serves secrets
    IPv4Network("192.0.0.0/24"),  # IETF protocols, including a cloud's metadata service
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = (
    IPv6Network("2001::/23"),  # IETF protocols, including Teredo
    IPv6Network("2002::/16"),  # 6to4, which embeds an IPv4 address
    IPv6Network("3fff::/20"),  # documentation; older versions of Python do not know it
)
_NAT64 = IPv6Network("64:ff9b::/96")  # embeds an IPv4 address, for networks without IPv4


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is a public unicast address: not private, local, reserved or a disguised one."""
    if isinstance(address, IPv4Address):
        special = address.is_multicast or address.is_reserved or any(address in net for net in _NOT_PUBLIC_V4)
        return address.is_global and not special
    if address.scope_id:
        return False
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    special = any(address in net for net in _NOT_PUBLIC_V6)
    return address in _GLOBAL_UNICAST and address.is_global and not special


def is_numeric(host: str) -> bool:
    """Return whether the host of a URL is an IP address, not a name: it is IPv6, or its last label is a number.

    Also True for forms that only the C library accepts, such as ``0x7f.1``. No public host name has such a form.
    """
    last = host.rstrip(".").rpartition(".")[2].lower()
    return ":" in host or last.isdigit() or last.startswith("0x")


def is_public_host(host: str) -> bool:
    """Return whether a numeric host is public. Any but the canonical spelling of an address is not."""
    try:
        return is_public(ip_address(host))
    except ValueError:
        return False
