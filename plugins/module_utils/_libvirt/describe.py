# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools and volumes as modules return them: plain data, sizes in bytes."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import pool_options
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Pool,
    Volume,
)


def pool(found: Pool) -> dict[str, Any]:
    """A pool; the figures of one that is not active are 0."""
    root = ET.fromstring(found.live)
    return {
        "name": found.name,
        "uuid": found.uuid,
        "type": root.get("type"),
        "state": found.state,
        "autostart": found.autostart,
        "persistent": found.persistent,
        "capacity": _size(root, "capacity"),
        "allocation": _size(root, "allocation"),
        "available": _size(root, "available"),
        "target_path": root.findtext("target/path"),
        **pool_options.read(root),
        "xml": found.live,
    }


def volume(found: Volume) -> dict[str, Any]:
    """A volume; ``backing`` and ``physical`` are None where it has none."""
    root = found.root
    return {
        "pool": found.pool,
        "name": found.name,
        "key": found.key,
        "path": found.path,
        "type": root.get("type"),
        "format": _attribute(root, "target/format"),
        "capacity": _size(root, "capacity"),
        "allocation": _size(root, "allocation"),
        "physical": _size(root, "physical") if root.find("physical") is not None else None,
        "backing": backing(root),
        "encryption": _attribute(root, "target/encryption", "format"),
        "permissions": pool_options.permissions(root),
        "xml": found.xml,
    }


def backing(root: ET.Element) -> dict[str, Any] | None:
    """What a volume's XML says it lies on."""
    path = root.findtext("backingStore/path")
    if not path:
        return None
    return {"path": path, "format": _attribute(root, "backingStore/format")}


def volume_view(described: dict[str, Any]) -> dict[str, Any]:
    """What a diff shows of a volume that ``volume`` described."""
    shown = ("pool", "name", "capacity", "format", "backing", "encryption", "permissions")
    return {"state": "present", **{key: described[key] for key in shown}}


def _attribute(root: ET.Element, path: str, name: str = "type") -> str | None:
    node = root.find(path)
    return None if node is None else node.get(name)


def _size(root: ET.Element, tag: str) -> int:
    """libvirt prints every figure of a pool or volume in bytes."""
    return int(root.findtext(tag, "0"))
