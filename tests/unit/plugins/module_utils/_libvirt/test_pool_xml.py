# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pool definitions: built, compared on meaning, amended."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import pool_xml

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


def wanted(**target) -> ET.Element:
    source = {"devices": ["/dev/vdb"], "format": "ext4"}
    return pool_xml.build("files", "fs", source, {"path": "/srv/images", **target})


def differ(root: ET.Element, reported: str = REPORTED) -> set[str]:
    return pool_xml.differences(pool_xml.meaning(root), pool_xml.meaning(ET.fromstring(reported)))


def test_what_libvirt_adds_is_no_difference():
    assert differ(wanted()) == set()


@pytest.mark.parametrize(
    "target",
    [
        {"path": "/srv/images/"},
        {"path": "/srv/./images"},
        {"permissions": {"mode": "755"}},
        {"permissions": {"mode": "00755", "owner": 0, "group": None}},
        {"permissions": {"owner": -1}},
        {"permissions": None},
    ],
)
def test_other_words_for_the_same_are_no_difference(target):
    assert differ(wanted(**target)) == set()


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ({"path": "/srv/other"}, "target/path"),
        ({"permissions": {"mode": "0711"}}, "target/permissions/mode"),
        ({"permissions": {"group": 5}}, "target/permissions/group"),
        ({"permissions": {"label": "x"}}, "target/permissions/label"),
    ],
)
def test_difference_of_the_target_is_seen(target, key):
    assert differ(wanted(**target)) == {key}


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        ({"devices": ["/dev/vdc"]}, {"source/device"}),
        ({"devices": ["/dev/vdb", "/dev/vdc"]}, {"source/device"}),
        ({"format": "xfs"}, {"source/format/@type"}),
        ({}, set()),
    ],
)
def test_difference_of_the_source_is_seen(source, keys):
    assert differ(pool_xml.build("files", "fs", source, {})) == keys


def test_order_of_devices_is_no_difference():
    one = pool_xml.build("p", "logical", {"devices": ["/dev/b", "/dev/a"]}, {})
    other = pool_xml.build("p", "logical", {"devices": ["/dev/a", "/dev/b"]}, {})
    assert pool_xml.meaning(one) == pool_xml.meaning(other)


def test_type_is_compared():
    assert "type" in differ(pool_xml.build("files", "dir", {}, {}))


def test_amended_definition_says_what_is_wanted_and_keeps_the_rest():
    definition = ET.fromstring(REPORTED)
    source = {"devices": ["/dev/vdc"]}
    target = {"path": "/srv/new", "permissions": {"mode": "0711"}}
    change = pool_xml.build("files", "fs", source, target)
    pool_xml.amend(definition, change)
    said = pool_xml.meaning(definition)
    assert pool_xml.differences(pool_xml.meaning(change), said) == set()
    assert definition.findtext("uuid") == "ecb832da-2120-468f-9d13-1119043e9574"
    assert said["source/format/@type"] == "ext4"
    assert said["source/device"] == ("/dev/vdc",)
    assert said["target/permissions/owner"] == "0"


def test_names_are_escaped():
    name = "a<b>&\"c'"
    text = ET.tostring(pool_xml.build(name, "dir", {}, {"path": name}), encoding="unicode")
    assert ET.fromstring(text).findtext("name") == name
    assert ET.fromstring(text).findtext("target/path") == name
