"""The network of an interface: what somebody enters, and the file of systemd-networkd for it."""

import json
import subprocess
from collections.abc import Sequence
from configparser import ConfigParser
from configparser import Error as NotParsed
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from pathlib import Path
from typing import Any, Self

from common.errors import ConfigError

KEPT = Path("/etc/systemd/network")
TRIED = Path("/run/systemd/network")
# networkd takes the first file that fits an interface, by name: one on trial before the one that is
# kept, and that before those of others.
NAMES = {KEPT: "10-callstash-{}.network", TRIED: "05-callstash-{}.network"}
HEADER = "# Written by callstash-config, which reads it again and replaces it.\n"


@dataclass(frozen=True)
class Manual:
    """An address that is set by hand, and what goes with it."""

    address: IPv4Interface | IPv6Interface
    gateway: IPv4Address | IPv6Address
    dns: tuple[IPv4Address | IPv6Address, ...]

    @classmethod
    def read(cls, address: str, mask: str, gateway: str, dns: str) -> Self:
        """Return what four fields say. Raises ConfigError with the field that is wrong."""
        own = _address("IP address", address)
        network = _network(own, mask)
        _usable(own, network)
        router = _address("gateway", gateway)
        if router == own:
            raise ConfigError("The gateway is another machine: it can't have this one's address.")
        local = isinstance(router, IPv6Address) and router.is_link_local
        if router not in network.network and not local:
            raise ConfigError(
                f"The gateway {router} is outside of this machine's network {network.network}:"
                " check address, net mask and gateway."
            )
        servers = tuple(_address("DNS server", one) for one in dns.replace(",", " ").split())
        if not servers:
            raise ConfigError("Enter at least one DNS server: without one no name is found.")
        return cls(network, router, servers)

    def fields(self) -> tuple[str, str, str, str]:
        """Return the four fields that say this."""
        mask = str(self.address.network.prefixlen)
        if self.address.version == 4:
            mask = str(self.address.netmask)
        return (
            str(self.address.ip), mask, str(self.gateway), " ".join(map(str, self.dns)),
        )  # fmt: skip


def _address(what: str, text: str) -> IPv4Address | IPv6Address:
    if not text.strip():
        raise ConfigError(f"Enter the {what}.")
    try:
        found = ip_address(text.strip())
    except ValueError as error:
        raise ConfigError(
            f"'{text.strip()}' is no address for the {what}: write it like 192.168.1.20."
        ) from error
    if found.is_unspecified or found.is_multicast or "%" in text:
        raise ConfigError(f"{found} can't be the {what}: it is the address of no machine.")
    return found


def _network(own: IPv4Address | IPv6Address, mask: str) -> IPv4Interface | IPv6Interface:
    bits = mask.strip().removeprefix("/")
    try:
        found = ip_interface(f"{own}/{bits}")
    except ValueError as error:
        raise ConfigError(
            f"'{mask.strip()}' is no net mask: write it like 255.255.255.0, or as a number of bits."
        ) from error
    if "." in bits and str(found.netmask) != bits:  # 0.0.0.255 is taken for a mask of hosts
        raise ConfigError(f"'{bits}' is no net mask: write it like 255.255.255.0.")
    return found


def _usable(own: IPv4Address | IPv6Address, network: IPv4Interface | IPv6Interface) -> None:
    if network.network.prefixlen == 0:
        raise ConfigError("The net mask covers the whole Internet: check it.")
    if own.is_loopback:
        raise ConfigError(f"{own} is an address inside each machine: enter one of your network.")
    ends = (network.network.network_address, network.network.broadcast_address)
    if own.version == 4 and network.network.prefixlen < 31 and own in ends:
        raise ConfigError(
            f"{own} is an end of the network {network.network} and no machine's: take another."
        )


def file(interface: str, manual: Manual | None) -> str:
    """Return the file of systemd-networkd; without an address it is DHCP."""
    text = f"{HEADER}[Match]\nName={interface}\n\n[Network]\n"
    if manual is None:
        return f"{text}DHCP=yes\n"
    dns = " ".join(map(str, manual.dns))
    return f"{text}DHCP=no\nAddress={manual.address}\nGateway={manual.gateway}\nDNS={dns}\n"


def parse(text: str) -> Manual | None:
    """Return what a file of ours says; nothing for DHCP, and for what isn't from us."""
    found = ConfigParser(interpolation=None, strict=False)
    try:
        found.read_string(text)
        network = found["Network"]
        address = ip_interface(network["Address"])
        return Manual.read(
            str(address.ip), str(address.network.prefixlen), network["Gateway"], network["DNS"]
        )
    except (NotParsed, KeyError, ValueError, ConfigError):
        return None


@dataclass(frozen=True)
class Interface:
    """A network interface as it is now."""

    name: str
    on: bool
    cable: bool
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    dhcp: bool

    @property
    def words(self) -> str:
        """Say how it is."""
        if not self.on:
            return "not in use"
        if not self.cable:
            return "no cable"
        return ", ".join(str(one.ip) for one in self.addresses) or "connected, no address yet"


def interfaces(links: Sequence[dict[str, Any]]) -> list[Interface]:
    """Return the interfaces that can be set up, from what `ip -json address` shows."""
    found = []
    for link in links:
        name = str(link.get("ifname", ""))
        if link.get("link_type") != "ether" or set(name) & set("*?[]!"):
            continue
        if "NOARP" in link["flags"] or "master" in link:
            continue
        known = [one for one in link["addr_info"] if one.get("scope") == "global"]
        addresses = tuple(ip_interface(f"{one['local']}/{one['prefixlen']}") for one in known)
        found.append(
            Interface(
                name,
                "UP" in link["flags"],
                "LOWER_UP" in link["flags"],
                addresses,
                any(one.get("dynamic") for one in known),
            )  # fmt: skip
        )
    return found


def shown(*command: str) -> Any:
    """Return what ip(8) shows, in JSON."""
    done = subprocess.run(
        ["ip", "-json", *command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=30,
    )  # fmt: skip
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else []


def gateway(interface: str) -> str:
    """Return the gateway that an interface uses now; none is empty."""
    for family in ("-4", "-6"):
        for route in shown(family, "route", "show", "default", "dev", interface):
            if "gateway" in route:
                return str(route["gateway"])
    return ""


def saved(interface: str) -> tuple[bool, tuple[str, str, str, str]]:
    """Return whether an interface has DHCP, and the fields for an address set by hand: as they were
    set, or as they are now.
    """
    path = KEPT / NAMES[KEPT].format(interface)
    ours = parse(path.read_text(encoding="utf-8")) if path.exists() else None
    if ours is not None:
        return False, ours.fields()
    now = next(
        (one for one in interfaces(shown("address")) if one.name == interface and one.addresses),
        None,
    )
    if now is None:
        return True, ("", "", "", "")
    mask = now.addresses[0].with_netmask.partition("/")[2]
    return now.dhcp or path.exists(), (
        str(now.addresses[0].ip), mask, gateway(interface), " ".join(_servers(interface)),
    )  # fmt: skip


def _servers(interface: str) -> list[str]:
    """Return the DNS servers that systemd-resolved has for an interface."""
    done = subprocess.run(
        ["resolvectl", "dns", interface], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=30,
    )  # fmt: skip
    return done.stdout.partition(":")[2].split() if done.returncode == 0 else []
