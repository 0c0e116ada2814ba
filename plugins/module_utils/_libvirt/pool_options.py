# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pool's definition in the shape of the options of libvirt_pool; the way back from pool_xml."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import pool_xml

_FLAGS = {"yes": True, "no": False}


def read(root: ET.Element) -> dict[str, Any]:
    """The options ``source``, ``target`` and the others that would define such a pool.

    What the definition does not say is None.
    """
    mount = root.find(pool_xml.MOUNT_OPTIONS)
    rbd = root.find(pool_xml.RBD_OPTIONS)
    return {
        "source": _source(root.find("source")),
        "target": {
            "path": root.findtext("target/path"),
            "permissions": permissions(root),
        },
        "features": {"cow": _FLAGS.get(_attribute(root, "features/cow", "state") or "")},
        "mount_options": [node.get("name") for node in mount] if mount is not None else [],
        "rbd_options": {node.get("name"): node.get("value") for node in rbd or ()},
        "volume_allocation": _attribute(root, "refresh/volume", "allocation"),
    }


def permissions(root: ET.Element) -> dict[str, Any] | None:
    """Mode as an octal string, owner and group as numbers, label where there is one."""
    node = root.find("target/permissions")
    if node is None:
        return None
    return {
        "mode": node.findtext("mode"),
        "owner": int(node.findtext("owner", "-1")),
        "group": int(node.findtext("group", "-1")),
        "label": node.findtext("label"),
    }


def _source(node: ET.Element | None) -> dict[str, Any] | None:
    if node is None:
        return None
    separator = _attribute(node, "device", "part_separator")
    return {
        "hosts": [
            {"name": host.get("name"), "port": _number(host.get("port"))}
            for host in node.findall("host")
        ],
        "dir": _attribute(node, "dir", "path"),
        "devices": [device.get("path") for device in node.findall("device")],
        "part_separator": _FLAGS.get(separator or ""),
        "name": node.findtext("name"),
        "adapter": _adapter(node.find("adapter")),
        "format": _attribute(node, "format", "type"),
        "initiator": _attribute(node, "initiator/iqn", "name"),
        "auth": _auth(node.find("auth")),
        "vendor": _attribute(node, "vendor", "name"),
        "product": _attribute(node, "product", "name"),
        "protocol_version": _attribute(node, "protocol", "ver"),
    }


def _adapter(node: ET.Element | None) -> dict[str, Any] | None:
    if node is None:
        return None
    said: dict[str, Any] = dict(node.attrib)
    if "managed" in said:
        said["managed"] = _FLAGS[said["managed"]]
    parent = node.find("parentaddr")
    if parent is not None:
        identity = {"unique_id": _number(parent.get("unique_id"))}
        said["parentaddr"] = {**identity, **parent.find("address").attrib}
    return said


def _auth(node: ET.Element | None) -> dict[str, Any] | None:
    if node is None:
        return None
    secret = node.find("secret").attrib
    name = {key: secret[key] for key in ("usage", "uuid") if key in secret}
    return {"type": node.get("type"), "username": node.get("username"), "secret": name}


def _attribute(root: ET.Element, path: str, name: str) -> str | None:
    node = root.find(path)
    return None if node is None else node.get(name)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
