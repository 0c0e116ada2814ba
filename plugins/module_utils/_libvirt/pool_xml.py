# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pool definitions: from options to XML, and what two of them mean compared to each other.

The format is that of https://libvirt.org/formatstorage.html#storage-pool-xml.
"""

from __future__ import annotations

import posixpath
import xml.etree.ElementTree as ET
from typing import Any, Union

Value = Union[str, tuple]
Meaning = dict[str, Value]

# Figures and names that libvirt gives a pool; no part of what a user defines.
_REPORTED = {"name", "uuid", "capacity", "allocation", "available"}
# Elements of which there may be several, and the attribute that tells them apart.
_REPEATED = {"source/device": "path"}
_PATHS = {"target/path"}
_MODE = "target/permissions/mode"
_OWNERS = {"target/permissions/owner", "target/permissions/group"}


def build(name: str, kind: str, source: dict[str, Any], target: dict[str, Any]) -> ET.Element:
    """The definition that a module's options ``source`` and ``target`` describe."""
    root = ET.Element("pool", type=kind)
    ET.SubElement(root, "name").text = name
    node = ET.SubElement(root, "source")
    for device in source.get("devices") or ():
        ET.SubElement(node, "device", path=device)
    if source.get("format"):
        ET.SubElement(node, "format", type=source["format"])
    node = ET.SubElement(root, "target")
    if target.get("path"):
        ET.SubElement(node, "path").text = target["path"]
    append_permissions(node, target.get("permissions"))
    return root


def append_permissions(parent: ET.Element, permissions: dict[str, Any] | None) -> None:
    """Add the ``<permissions>`` that are stated, if any are."""
    stated = {key: value for key, value in (permissions or {}).items() if value is not None}
    if stated:
        node = ET.SubElement(parent, "permissions")
        for key, value in stated.items():
            ET.SubElement(node, key).text = str(value)


def meaning(root: ET.Element) -> Meaning:
    """What a definition says, by the path of each element and attribute, normalised."""
    said: Meaning = {"type": root.get("type", "")}
    for child in root:
        if child.tag not in _REPORTED:
            _collect(child, child.tag, said)
    return {key: value for key, value in said.items() if key not in _OWNERS or value != "-1"}


def _collect(node: ET.Element, path: str, said: Meaning) -> None:
    if path in _REPEATED:
        others = said.get(path, ())
        said[path] = tuple(sorted({*others, node.get(_REPEATED[path], "")}))
        return
    for name, value in node.attrib.items():
        said[f"{path}/@{name}"] = _normal(f"{path}/@{name}", value)
    text = (node.text or "").strip()
    if text:
        said[path] = _normal(path, text)
    for child in node:
        _collect(child, f"{path}/{child.tag}", said)


def _normal(path: str, value: str) -> str:
    if path in _PATHS:
        return posixpath.normpath(value)
    if path == _MODE:
        return f"{int(value, 8):04o}"
    return value


def differences(wanted: Meaning, found: Meaning) -> set[str]:
    """The keys of what is wanted that are otherwise in what is found."""
    return {key for key, value in wanted.items() if found.get(key) != value}


def amend(found: ET.Element, wanted: ET.Element) -> None:
    """Change a definition in place so that it says what is wanted, and else what it said."""
    found.attrib.update(wanted.attrib)
    _amend(found, wanted, "")


def _amend(found: ET.Element, wanted: ET.Element, path: str) -> None:
    for tag in {child.tag for child in wanted if f"{path}{child.tag}" in _REPEATED}:
        for old in found.findall(tag):
            found.remove(old)
    for child in wanted:
        counterpart = found.find(child.tag)
        if counterpart is None or f"{path}{child.tag}" in _REPEATED:
            found.append(child)
            continue
        counterpart.attrib.update(child.attrib)
        if (child.text or "").strip():
            counterpart.text = child.text
        _amend(counterpart, child, f"{path}{child.tag}/")
