"""Only addresses of the public internet are public, in every spelling."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis.strategies import integers, ip_addresses, one_of, sampled_from

from pixcore_adapters.downloader.fetch.address import is_numeric, is_public, is_public_host

# from IANA's registries of special-purpose addresses, and the host side of one cloud
SPECIAL_V4 = [
    IPv4Network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
    )
]  # fmt: skip
SPECIAL_V6 = [IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
UNICAST = IPv6Network("2000::/3")


def near(nets: list[IPv4Network] | list[IPv6Network]) -> list[int]:
    """Return the addresses at the edges of networks, where a wrong mask shows."""
    edges = [(int(net.network_address), int(net.broadcast_address)) for net in nets]
    return [number for first, last in edges for number in (first, last, max(first - 1, 0), last + 1)]


v4 = one_of(ip_addresses(v=4), sampled_from(near(SPECIAL_V4)).map(lambda number: IPv4Address(number % 2**32)))
v6 = one_of(ip_addresses(v=6), sampled_from(near([*SPECIAL_V6, UNICAST])).map(IPv6Address))


@given(v4)
def test_v4(address: IPv4Address) -> None:
    """An IPv4 address is public if no registry reserves it."""
    assert is_public(address) == (not any(address in net for net in SPECIAL_V4))


@given(v6)
def test_v6(address: IPv6Address) -> None:
    """An IPv6 address is public if it is global unicast and no registry reserves it."""
    if address not in IPv6Network("64:ff9b::/96"):
        assert is_public(address) == (address in UNICAST and not any(address in net for net in SPECIAL_V6))


@given(v4, integers(0, 2**64 - 1))
def test_v4_in_disguise(address: IPv4Address, rest: int) -> None:
    """An IPv4 address inside an IPv6 address is public only through NAT64, and only if it is public itself."""
    number = int(address)
    assert is_public(IPv6Address((0x64FF9B << 96) | number)) == is_public(address)
    for disguise in (
        (0xFFFF << 32) | number,  # IPv4-mapped
        number,  # IPv4-compatible
        (0xFFFF << 48) | number,  # IPv4-translated
        (0x64FF9B0001 << 80) | number,  # NAT64 with a local prefix
        (0x2002 << 112) | (number << 80) | rest,  # 6to4
        (0x20010000 << 96) | (number << 64) | rest,  # Teredo server
        (0x20010000 << 96) | (rest >> 32 << 32) | (number ^ 0xFFFFFFFF),  # Teredo client
    ):
        assert not is_public(IPv6Address(disguise))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.000.000.001", "2130706433", "017700000001",
        "0177.0.0.1", "0x7f000001", "0X7F.0.0.1", "0x7f.1", "0", "0.0.0.1", "0x", "169.254.169.254", "2852039166",
        "100.100.100.200",
        "168.63.129.16", "192.168.1.1", "255.255.255.255", "224.0.0.1", "256.1.1.1", "1.2.3.4.5", "134744072",
        "08.8.8.8",
        "::1", "::", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::808:808",
        "2002:7f00:1::", "2001:0:7f00:1::", "fe80::1", "fe80::1%eth0", "2606:4700::1111%1", "fec0::1", "fc00::1",
        "fd00:ec2::254", "ff02::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_refused(host: str) -> None:
    """Special addresses in every spelling, and public ones in an unusual spelling, are refused."""
    assert is_numeric(host)
    assert not is_public_host(host)


@pytest.mark.parametrize("host", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808"])
def test_public(host: str) -> None:
    """Public addresses are accepted."""
    assert is_numeric(host)
    assert is_public_host(host)


@pytest.mark.parametrize("host", ["example.org", "1.example", "localhost", "127.0.0.1.example.org", "face.b00c", "a1"])
def test_names(host: str) -> None:
    """A name is not an address; the resolver decides about it."""
    assert not is_numeric(host)
