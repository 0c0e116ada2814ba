# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pool definitions: built, compared on meaning, amended."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    pool_argspec,
    pool_meaning,
    pool_types,
    pool_xml,
)

# What libvirt 9 says of a running pool.
REPORTED = """
<pool type='fs'>
  <name>files</name>
  <uuid>ecb832da-2120-468f-9d13-1119043e9574</uuid>
  <capacity unit='bytes'>190770176</capacity>
  <allocation unit='bytes'>14336</allocation>
  <available unit='bytes'>190755840</available>
  <source>
    <device path='/dev/vdb'>
      <freeExtent start='17408' end='209698304'/>
    </device>
    <format type='ext4'/>
  </source>
  <target>
    <path>/srv/images</path>
    <permissions>
      <mode>0755</mode>
      <owner>0</owner>
      <group>0</group>
    </permissions>
  </target>
</pool>
"""


def built(kind: str = "fs", **options) -> ET.Element:
    return pool_xml.build("files", kind, options)


def amended(**options) -> set[str]:
    """The keys in which the definition differs once the options have amended it."""
    root = ET.fromstring(REPORTED)
    pool_xml.amend(root, built(**options))
    was, said = pool_meaning.stated(ET.fromstring(REPORTED)), pool_meaning.stated(root)
    return pool_meaning.differences(said, was, {key for key in said if "permissions" in key})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"source": {"devices": ["/dev/vdb"], "format": "ext4"}},
        {"source": {"devices": ["/dev//vdb"]}},
        {"target": {"path": "/srv/images/"}},
        {"target": {"path": "//srv/./images"}},
        {"target": {"permissions": {"mode": "755"}}},
        {"target": {"permissions": {"mode": "00755", "owner": 0, "group": None}}},
        {"target": {"permissions": None}},
        {"mount_options": []},
    ],
)
def test_other_words_for_the_same_are_no_difference(options):
    assert amended(**options) == set()


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"target": {"path": "/srv/other"}}, {"target/path"}),
        ({"target": {"permissions": {"mode": "0711"}}}, {"target/permissions/mode"}),
        ({"target": {"permissions": {"group": 5}}}, {"target/permissions/group"}),
        ({"target": {"permissions": {"label": "x"}}}, {"target/permissions/label"}),
        ({"source": {"devices": ["/dev/vdc"]}}, {"source/device"}),
        ({"source": {"devices": ["/dev/vdb", "/dev/vdc"]}}, {"source/device"}),
        ({"source": {"format": "xfs"}}, {"source/format/@type"}),
        ({"mount_options": ["ro"]}, {"mount_options"}),
        ({"features": {"cow": True}}, {"features/cow/@state"}),
        ({"kind": "dir"}, {"type"}),
    ],
)
def test_difference_is_seen(options, keys):
    assert amended(**options) == keys


def test_permissions_count_only_where_asked():
    one = pool_meaning.stated(built(target={"permissions": {"mode": "0711"}}))
    other = pool_meaning.stated(built(target={"permissions": {"mode": "0755"}}))
    assert pool_meaning.differences(one, other, set()) == set()
    assert pool_meaning.differences(one, other, {"target/permissions/mode"})


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("logical", {"devices": ["/dev/b", "/dev/a"]}, {"devices": ["/dev/a", "/dev/b"]}),
        (
            "rbd",
            {"hosts": [{"name": "b"}, {"name": "a", "port": 1}]},
            {"hosts": [{"name": "a", "port": 1}, {"name": "b"}]},
        ),
        ("iscsi", {"hosts": [{"name": "a"}]}, {"hosts": [{"name": "a", "port": 3260}]}),
    ],
)
def test_order_and_default_ports_are_no_difference(kind, one, other):
    one, other = (pool_meaning.stated(built(kind, source=source)) for source in (one, other))
    assert one == other


def test_device_keeps_what_else_is_said_of_it():
    root = ET.fromstring(
        "<pool type='disk'><source><device path='/d' part_separator='no'/></source></pool>"
    )
    pool_xml.amend(root, built("disk", source={"devices": ["/d"]}))
    assert root.find("source/device").get("part_separator") == "no"


def test_options_are_named_as_the_user_wrote_them():
    source = {"hosts": [{"name": "h"}], "protocol_version": "4", "auth": {"secret": {"usage": "u"}}}
    said = pool_meaning.stated(built(source=source, mount_options=["ro"]))
    assert pool_meaning.meaningless(said, {"type": "fs"}) == [
        "mount_options",
        "source.auth",
        "source.hosts",
        "source.protocol_version",
    ]


def test_amended_definition_says_what_is_wanted_and_keeps_the_rest():
    definition = ET.fromstring(REPORTED)
    target = {"path": "/srv/new", "permissions": {"mode": "0711"}}
    pool_xml.amend(definition, built(source={"devices": ["/dev/vdc"]}, target=target))
    said = pool_meaning.stated(definition)
    assert definition.findtext("uuid") == "ecb832da-2120-468f-9d13-1119043e9574"
    assert said["target/path"] == "/srv/new"
    assert said["source/format/@type"] == "ext4"
    assert said["source/device"] == ("/dev/vdc",)
    assert said["target/permissions/owner"] == "0"


def test_names_are_escaped():
    name = "a<b>&\"c'"
    text = ET.tostring(pool_xml.build(name, "dir", {"target": {"path": name}}), encoding="unicode")
    assert ET.fromstring(text).findtext("name") == name
    assert ET.fromstring(text).findtext("target/path") == name


def test_each_type_is_known():
    assert set(pool_types.TYPES) == set(pool_argspec.POOL_TYPES)
