# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volume definitions."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import volume_xml


def test_empty_raw_volume():
    root = ET.fromstring(volume_xml.build("v", 10, 0, "raw"))
    assert root.findtext("name") == "v"
    assert (root.findtext("capacity"), root.find("capacity").get("unit")) == ("10", "bytes")
    assert (root.findtext("allocation"), root.find("allocation").get("unit")) == ("0", "bytes")
    assert root.find("target/format").get("type") == "raw"
    assert root.find("target/compat") is None
    assert root.find("backingStore") is None


def test_qcow2_volume_is_of_the_newer_format():
    root = ET.fromstring(volume_xml.build("v", 10, 0, "qcow2"))
    assert root.findtext("target/compat") == "1.1"


def test_copy_on_write_volume():
    backing = {"path": "/a & b", "format": "raw"}
    root = ET.fromstring(volume_xml.build("v", 10, 0, "qcow2", backing=backing))
    assert root.findtext("backingStore/path") == "/a & b"
    assert root.find("backingStore/format").get("type") == "raw"


def test_stated_permissions_only():
    permissions = {"mode": "0600", "owner": 0, "group": None, "label": None}
    root = ET.fromstring(volume_xml.build("v", 10, 0, None, permissions))
    assert {node.tag: node.text for node in root.find("target/permissions")} == {
        "mode": "0600",
        "owner": "0",
    }
    assert root.find("target/format") is None


def test_encrypted_volume_names_its_secret_and_cipher():
    encryption = {
        "format": "luks",
        "secret": {"usage": "disk", "uuid": None},
        "cipher": {"name": "aes", "size": 256, "mode": "xts", "hash": None},
        "ivgen": None,
    }
    root = ET.fromstring(volume_xml.build("v", 10, 0, "raw", encryption=encryption))
    node = root.find("target/encryption")
    assert node.get("format") == "luks"
    assert node.find("secret").attrib == {"type": "passphrase", "usage": "disk"}
    assert node.find("cipher").attrib == {"name": "aes", "size": "256", "mode": "xts"}
    assert node.find("ivgen") is None
