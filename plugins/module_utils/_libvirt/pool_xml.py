# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pool definitions as XML: made from options, read from a user's text, amended.

The format is that of https://libvirt.org/formatstorage.html#storage-pool-xml.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused

_FS = "http://libvirt.org/schemas/storagepool/fs/1.0"
_RBD = "http://libvirt.org/schemas/storagepool/rbd/1.0"
ET.register_namespace("fs", _FS)
ET.register_namespace("rbd", _RBD)
MOUNT_OPTIONS = f"{{{_FS}}}mount_opts"
MOUNT_OPTION = f"{{{_FS}}}option"
RBD_OPTIONS = f"{{{_RBD}}}config_opts"
RBD_OPTION = f"{{{_RBD}}}option"

# Elements that a stated one replaces as a whole.
_REPLACED = {"host", "device", "adapter", "auth", MOUNT_OPTIONS, RBD_OPTIONS}
# Options of the source whose element has the option's name and one attribute.
_ATTRIBUTES = {"dir": "path", "format": "type", "vendor": "name", "product": "name"}


def yes_or_no(value: bool) -> str:
    """A boolean as libvirt's XML writes it."""
    return "yes" if value else "no"


def build(name: str, kind: str, options: dict[str, Any]) -> ET.Element:
    """The definition that the options of libvirt_pool describe, as far as they are stated."""
    root = ET.Element("pool", type=kind)
    ET.SubElement(root, "name").text = name
    cow = (options.get("features") or {}).get("cow")
    if cow is not None:
        ET.SubElement(ET.SubElement(root, "features"), "cow", state=yes_or_no(cow))
    _append_source(ET.SubElement(root, "source"), options.get("source") or {})
    target = options.get("target") or {}
    node = ET.SubElement(root, "target")
    if target.get("path"):
        ET.SubElement(node, "path").text = target["path"]
    append_permissions(node, target.get("permissions"))
    if options.get("volume_allocation"):
        node = ET.SubElement(root, "refresh")
        ET.SubElement(node, "volume", allocation=options["volume_allocation"])
    if options.get("mount_options") is not None:
        node = ET.SubElement(root, MOUNT_OPTIONS)
        for option in options["mount_options"]:
            ET.SubElement(node, MOUNT_OPTION, name=option)
    if options.get("rbd_options") is not None:
        node = ET.SubElement(root, RBD_OPTIONS)
        for option, value in options["rbd_options"].items():
            ET.SubElement(node, RBD_OPTION, name=option, value=str(value))
    return root


def _stated(values: dict[str, Any] | None) -> dict[str, str]:
    """Options that are stated, as the values of attributes."""
    return {
        key: yes_or_no(value) if isinstance(value, bool) else str(value)
        for key, value in (values or {}).items()
        if value is not None and not isinstance(value, dict)
    }


def _append_source(node: ET.Element, source: dict[str, Any]) -> None:
    for host in source.get("hosts") or ():
        ET.SubElement(node, "host", _stated(host))
    for device in source.get("devices") or ():
        ET.SubElement(node, "device", path=device)
    for option, attribute in _ATTRIBUTES.items():
        if source.get(option):
            ET.SubElement(node, option, {attribute: source[option]})
    if source.get("name"):
        ET.SubElement(node, "name").text = source["name"]
    if source.get("protocol_version") is not None:
        ET.SubElement(node, "protocol", ver=str(source["protocol_version"]))
    if source.get("initiator"):
        ET.SubElement(ET.SubElement(node, "initiator"), "iqn", name=source["initiator"])
    if source.get("adapter"):
        _append_adapter(node, source["adapter"])
    if source.get("auth"):
        auth = ET.SubElement(node, "auth", _stated(source["auth"]))
        ET.SubElement(auth, "secret", _stated(source["auth"]["secret"]))


def _append_adapter(parent: ET.Element, adapter: dict[str, Any]) -> None:
    node = ET.SubElement(parent, "adapter", _stated(adapter))
    address = _stated(adapter.get("parentaddr"))
    if address:
        identity = {"unique_id": address.pop("unique_id")}
        ET.SubElement(ET.SubElement(node, "parentaddr", identity), "address", address)


def append_permissions(parent: ET.Element, permissions: dict[str, Any] | None) -> None:
    """Add the ``<permissions>`` that are stated, if any are."""
    stated = _stated(permissions)
    if stated:
        node = ET.SubElement(parent, "permissions")
        for key, value in stated.items():
            ET.SubElement(node, key).text = value


def parse(name: str, text: str) -> ET.Element:
    """A definition that a user wrote, of the pool of that name.

    :raises Refused: if it is no XML, or the definition of something else
    """
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise Refused(f"xml is not well-formed: {error}.") from error
    if root.tag != "pool":
        raise Refused(f"xml is a <{root.tag}>. The definition of a pool is a <pool>.")
    node = root.find("name")
    if node is None:
        node = ET.SubElement(root, "name")
        node.text = name
    if node.text != name:
        raise Refused(f"name={name!r}, but xml defines a pool {node.text!r}.")
    return root


def set_uuid(root: ET.Element, uuid: str) -> None:
    """Give a definition the UUID of the pool that is there."""
    node = root.find("uuid")
    if node is None:
        node = ET.SubElement(root, "uuid")
    node.text = uuid


def amend(found: ET.Element, wanted: ET.Element) -> None:
    """Change a definition in place so that it says what is wanted, and else what it said."""
    former = {node.get("path"): node.attrib for node in found.iterfind("source/device")}
    found.attrib.update(wanted.attrib)
    _amend(found, wanted)
    for node in found.iterfind("source/device"):
        node.attrib.update(former.get(node.get("path"), {}))


def _amend(found: ET.Element, wanted: ET.Element) -> None:
    for tag in {child.tag for child in wanted} & _REPLACED:
        for old in found.findall(tag):
            found.remove(old)
    for child in wanted:
        counterpart = found.find(child.tag)
        if counterpart is None or child.tag in _REPLACED:
            found.append(child)
            continue
        counterpart.attrib.update(child.attrib)
        if (child.text or "").strip():
            counterpart.text = child.text
        _amend(counterpart, child)


def set_part_separator(root: ET.Element, part_separator: bool | None) -> None:
    """State for all devices whether names of partitions have a ``p``; None leaves them alone."""
    if part_separator is not None:
        for node in root.iterfind("source/device"):
            node.set("part_separator", yes_or_no(part_separator))
