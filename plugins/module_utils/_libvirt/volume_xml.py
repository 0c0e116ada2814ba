# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volume definitions, after https://libvirt.org/formatstorage.html#storage-volume-xml."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.pool_xml import (
    append_permissions,
)

# Without it libvirt makes images of the oldest qcow2 format, compat 0.10.
_QCOW2_COMPAT = "1.1"


def build(
    name: str,
    capacity: int,
    allocation: int,
    image_format: str | None,
    permissions: dict[str, Any] | None = None,
    backing: dict[str, str] | None = None,
    encryption: dict[str, Any] | None = None,
) -> str:
    """The XML of a volume to be made.

    :param capacity: size that the volume has for who uses it, in bytes
    :param allocation: what to reserve of it at once, in bytes
    :param backing: ``path`` and ``format`` of the image that it lies on
    :param encryption: the module's option of that name
    """
    root = ET.Element("volume")
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "capacity", unit="bytes").text = str(capacity)
    ET.SubElement(root, "allocation", unit="bytes").text = str(allocation)
    target = ET.SubElement(root, "target")
    if image_format:
        ET.SubElement(target, "format", type=image_format)
    if image_format == "qcow2":
        ET.SubElement(target, "compat").text = _QCOW2_COMPAT
    append_permissions(target, permissions)
    if encryption:
        _append_encryption(target, encryption)
    if backing:
        node = ET.SubElement(root, "backingStore")
        ET.SubElement(node, "path").text = backing["path"]
        ET.SubElement(node, "format", type=backing["format"])
    return ET.tostring(root, encoding="unicode")


def _append_encryption(target: ET.Element, encryption: dict[str, Any]) -> None:
    """See https://libvirt.org/formatstorageencryption.html."""
    node = ET.SubElement(target, "encryption", format=encryption["format"])
    ET.SubElement(node, "secret", type="passphrase", **_stated(encryption["secret"]))
    for tag in ("cipher", "ivgen"):
        stated = _stated(encryption[tag] or {})
        if stated:
            ET.SubElement(node, tag, **stated)


def _stated(options: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in options.items() if value is not None}
