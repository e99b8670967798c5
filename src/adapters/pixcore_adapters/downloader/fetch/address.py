"""Which IP addresses anybody may reach, in every spelling; pure and without a look-up."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NOT_PUBLIC_V4 = (
    IPv4Network("168.63.129.16"),  # public by number, but Azure's host agent by routing: it hands out secrets
    IPv4Network("192.0.0.0/24"),  # IETF protocols, a cloud's metadata service among them
    IPv4Network("192.88.99.0/24"),  # relays into the 6to4 tunnel
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = (
    IPv6Network("2001::/23"),  # IETF protocols, the Teredo tunnel among them
    IPv6Network("2002::/16"),  # the 6to4 tunnel: a v4 address hides in it
    IPv6Network("3fff::/20"),  # documentation; older Pythons do not know it
)
_NAT64 = IPv6Network("64:ff9b::/96")  # how a network without v4 reaches every v4 site


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is a unicast address of the open internet: no private, local, special or disguised one."""
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
    """Whether the host of a URL is an address rather than a name: its last label is a number, or it is IPv6.

    True for forms that only the C library understands too, such as ``0x7f.1``; no name of the open internet is.
    """
    last = host.rstrip(".").rpartition(".")[2].lower()
    return ":" in host or last.isdigit() or last.startswith("0x")


def is_public_host(host: str) -> bool:
    """Whether a numeric host, in its one canonical spelling, is public; any other spelling is not."""
    try:
        return is_public(ip_address(host))
    except ValueError:
        return False
