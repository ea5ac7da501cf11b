"""What callstash-config decides without a screen: addresses, host names, drives, fstab."""

from typing import Any

import pytest

from common.errors import ConfigError
from tools.config import disks, hostname, network, storage
from tools.config.network import Manual

GOOD = ("192.168.1.20", "255.255.255.0", "192.168.1.1", "192.168.1.1 9.9.9.9")


@pytest.mark.parametrize(
    "fields",
    [
        GOOD,
        ("192.168.1.20", "24", "192.168.1.1", "9.9.9.9,1.1.1.1"),
        ("10.0.0.1", "255.255.255.254", "10.0.0.0", "10.0.0.0"),
        ("2001:db8::20", "64", "2001:db8::1", "2001:db8::53"),
        ("2001:db8::20", "/64", "fe80::1", "2001:db8::53 9.9.9.9"),
        (" 192.168.1.20 ", " 24 ", " 192.168.1.1 ", "  9.9.9.9  "),
    ],
)
def test_what_is_entered_stands_in_the_file_and_is_read_from_it(fields: Any) -> None:
    manual = Manual.read(*fields)
    text = network.file("enp0s3", manual)
    assert "Name=enp0s3\n" in text and f"Gateway={manual.gateway}\n" in text
    assert network.parse(text) == manual == Manual.read(*manual.fields())


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (0, "", "Enter the IP address"),
        (0, "192.168.1", "no address"),
        (0, "192.168.1.300", "no address"),
        (0, "192.168.01.20", "no address"),
        (0, "192.168.1.0", "is an end of the network"),
        (0, "192.168.1.255", "is an end of the network"),
        (0, "127.0.0.1", "inside each machine"),
        (0, "224.0.0.1", "the address of no machine"),
        (0, "0.0.0.0", "the address of no machine"),
        (1, "", "net mask"),
        (1, "255.0.255.0", "no net mask"),
        (1, "0.0.0.255", "no net mask"),
        (1, "33", "no net mask"),
        (1, "0", "whole Internet"),
        (2, "", "Enter the gateway"),
        (2, "192.168.2.1", "outside of this machine's network"),
        (2, "192.168.1.20", "another machine"),
        (3, "", "at least one DNS server"),
        (3, "dns.example.com", "no address for the DNS server"),
        (0, "192.168.1.20\nGateway=6.6.6.6", "no address"),
    ],
)
def test_a_wrong_field_is_named(field: int, value: str, words: str) -> None:
    fields = list(GOOD)
    fields[field] = value
    with pytest.raises(ConfigError, match=words):
        Manual.read(*fields)


def test_a_file_for_dhcp_or_of_others_gives_no_address() -> None:
    assert network.parse(network.file("eth0", None)) is None
    for text in ("", "[Network]\nAddress=x\n", "no section", "[Network]\nAddress=10.0.0.1/8\n"):
        assert network.parse(text) is None


def test_only_interfaces_that_can_be_set_up_are_offered() -> None:
    def link(name: str, *flags: str, **more: object) -> dict[str, Any]:
        return {"ifname": name, "link_type": "ether", "flags": flags, "addr_info": [], **more}

    address = {"local": "10.0.0.2", "prefixlen": 24, "scope": "global", "dynamic": True}
    own = {"local": "fe80::1", "prefixlen": 64, "scope": "link"}
    found = network.interfaces(
        [
            link("lo", "UP", link_type="loopback"),
            link("ifb0", "NOARP"),
            link("port1", "UP", "LOWER_UP", master="br0"),
            link("eth0", "UP", "LOWER_UP", addr_info=[own, address]),
            link("eth1", "UP"),
            link("eth2"),
            link("eth3", "UP", "LOWER_UP", addr_info=[own]),
        ]
    )
    assert [(one.name, one.words) for one in found] == [
        ("eth0", "10.0.0.2"),
        ("eth1", "no cable"),
        ("eth2", "not in use"),
        ("eth3", "connected, no address yet"),
    ]
    assert [one.dhcp for one in found] == [True, False, False, False]


def test_a_host_name_has_letters_and_digits() -> None:
    assert hostname.check(" CallStash2 ") == "callstash2"
    for wrong in ("", "call-stash", "call.stash", "call stash", "123", "x" * 64, "localhost", "ä"):
        with pytest.raises(ConfigError):
            hostname.check(wrong)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("127.0.0.1 localhost\n", "127.0.0.1 localhost\n127.0.1.1 new old\n"),
        ("127.0.1.1 old # us\n10.0.0.9 pbx", "127.0.1.1 new old\n10.0.0.9 pbx\n"),
        ("127.0.1.1\told.example.com old\n", "127.0.1.1 new old old.example.com\n"),
        ("127.0.1.1 new old\n", "127.0.1.1 new old\n"),
    ],
)
def test_the_new_name_is_known_to_the_machine_itself(before: str, after: str) -> None:
    assert hostname.hosts(before, "old", "new", "old") == after


def test_rabbitmqs_node_keeps_its_name() -> None:
    assert hostname.node("", "old") == "rabbit@old"
    assert hostname.node("# NODENAME=x\n", "old") == "rabbit@old"
    assert hostname.node("NODENAME=rabbit@localhost\n", "old") == "rabbit@localhost"
    assert hostname.node("RABBITMQ_NODENAME='hare'\n", "old") == "hare@old"
    assert hostname.hosts("", "two", "three", "one") == "127.0.1.1 three one\n"


def drive(name: str, size: Any = 60 * 10**9, **more: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("model", "serial", "fstype", "label", "pttype"))
    return {"name": name, "path": f"/dev/{name}", "type": "disk", "size": size, "ro": False,
            "mountpoints": [None], **empty, **more}  # fmt: skip


REFUSED = [
    (drive("sda", size=49_999_999_999), "too small: 50 GB"),
    (drive("sda", pttype="gpt"), "has partitions"),
    (drive("sda", pttype="dos", children=[drive("sda1", type="part", mountpoints=["/boot"])]),
     "has partitions (in use: /boot)"),
    (drive("sda", fstype="ext4", mountpoints=["/"]), "is in use: /"),
    (drive("sda", fstype="ext4", label="callstash", mountpoints=["/var/lib/callstash"]),
     "holds CallStash's recordings now"),
    (drive("sda", fstype="ext4", label="callstash"), "holds data (ext4)"),
    (drive("sda", fstype="ntfs"), "holds data (ntfs)"),
    (drive("sda", fstype="swap", mountpoints=["[SWAP]"]), "is in use: [SWAP]"),
    (drive("sda", fstype="linux_raid_member"), "belongs to a RAID array"),
    (drive("sda", children=[drive("md0", type="raid5", fstype="ext4")]), "belongs to a RAID array"),
    (drive("sda", fstype="LVM2_member"), "is used by LVM"),
    (drive("sda", fstype="crypto_LUKS"), "holds an encrypted volume"),
    (drive("sda", children=[drive("mapper/x", type="mpath")]), "is used by /dev/mapper/x"),
    (drive("sda", ro=True), "can only be read"),
]  # fmt: skip


@pytest.mark.parametrize(("device", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_a_drive_that_is_not_empty_or_too_small_is_refused(device: Any, words: str) -> None:
    found = disks.disks([device])[0]
    assert found.refused is not None and words in found.refused


def test_empty_drives_are_offered_and_what_a_run_left_that_was_cut_off() -> None:
    array = drive("md127", type="raid5", size=120 * 10**9)
    member = {"fstype": "linux_raid_member", "children": [array]}
    found = disks.disks(
        [
            drive("sr0", type="rom"),
            drive("loop0", type="loop"),
            drive("zram0", size=0),
            drive("sda", size=50 * 10**9, model="VBOX HARDDISK ", serial="VB12"),
            drive("sdb", fstype="ext4", label=disks.UNFINISHED),
            drive("sdc", **member),
            drive("sdd", **member),
            drive("sde", size=2 * 10**12),
        ]
    )
    assert [(one.path, one.words) for one in found if one.refused is None] == [
        ("/dev/sda", "50 GB  VBOX HARDDISK VB12"),
        ("/dev/sdb", "60 GB  unknown model"),
        ("/dev/md127", "120 GB  RAID array"),
        ("/dev/sde", "2.0 TB  unknown model"),
    ]


def test_fstab_names_the_data_once() -> None:
    other = "# a comment\n/dev/vda / ext4 defaults 0 1\nUUID=a /srv ext4 defaults 0 2\n"
    first = storage.fstab(other, "one")
    assert first == f"{other}UUID=one /var/lib/callstash ext4 defaults,nofail 0 2\n"
    assert storage.fstab(first, "two") == first.replace("one", "two")
