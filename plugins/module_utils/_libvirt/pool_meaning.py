# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pool's definition means, so that two of them can be compared."""

from __future__ import annotations

import posixpath
import xml.etree.ElementTree as ET
from typing import Union

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    parser,
    pool_xml,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.pool_types import (
    type_of,
)

Value = Union[str, tuple]
Meaning = dict[str, Value]

PERMISSIONS = "target/permissions/"
DEVICES = "source/device"
FORMAT = "source/format/@type"
# A change of one of these makes the next build one of a new device.
DEVICE_KEYS = {"type", DEVICES, FORMAT}
_HOSTS = "source/host"
_PATHS = {"target/path", "source/dir/@path"}
_MODE = f"{PERMISSIONS}mode"
# Figures and names that libvirt gives a pool; no part of what a user defines.
_REPORTED = {"name", "uuid", "capacity", "allocation", "available", "freeExtent"}
_OWNERS = {f"{PERMISSIONS}owner", f"{PERMISSIONS}group"}
# What libvirt states by itself, beside the permissions, as soon as a pool runs.
_STATED_BY_LIBVIRT = {"source/adapter/@managed"}
_NAMESPACES = {"fs": "mount_options", "netfs": "mount_options", "rbd": "rbd_options"}
# What options are called, where it is not the path of their element.
_OPTIONS = {
    _HOSTS: "source.hosts",
    DEVICES: "source.devices",
    "source/protocol": "source.protocol_version",
    "refresh/volume": "volume_allocation",
}


def of_definition(root: ET.Element) -> Meaning:
    """What a complete definition says, by the path of each element and attribute.

    :raises Refused: if libvirt cannot take it
    """
    namespaces = _namespaces(root)
    kept = _NAMESPACES.get(root.get("type", ""))
    said = stated(parser.understood(root))
    return {**said, **{key: value for key, value in namespaces.items() if key == kept}}


def stated(root: ET.Element) -> Meaning:
    """What a definition says, complete or not, as it stands."""
    said: Meaning = {"type": root.get("type", "")}
    known = type_of(root.get("type", ""))
    for child in root:
        if not child.tag.startswith("{"):
            _collect(child, child.tag, said)
    said.update(_namespaces(root))
    if _HOSTS in said:
        hosts = said[_HOSTS]
        said[_HOSTS] = tuple(sorted({host.removesuffix(f" port {known.port}") for host in hosts}))
    if said.get("refresh/volume/@allocation") == "default":
        del said["refresh/volume/@allocation"]
    return {key: value for key, value in said.items() if key not in _OWNERS or value != "-1"}


def _namespaces(root: ET.Element) -> Meaning:
    mount = {node.get("name", "") for node in root.iter(pool_xml.MOUNT_OPTION)}
    rbd = {f"{node.get('name')}={node.get('value')}" for node in root.iter(pool_xml.RBD_OPTION)}
    both = {"mount_options": tuple(sorted(mount)), "rbd_options": tuple(sorted(rbd))}
    return {key: value for key, value in both.items() if value}


def _collect(node: ET.Element, path: str, said: Meaning) -> None:
    if node.tag in _REPORTED and path != "source/name":
        return
    attributes = dict(node.attrib)
    if path == _HOSTS:
        port = attributes.pop("port", None)
        host = attributes.pop("name", "") + (f" port {port}" if port else "")
        said[path] = (*said.get(path, ()), host)
    if path == DEVICES:
        device = _normal_path(attributes.pop("path", ""))
        said[path] = tuple(sorted({*said.get(path, ()), device}))
    for name, value in attributes.items():
        said[f"{path}/@{name}"] = _normal(f"{path}/@{name}", value)
    text = (node.text or "").strip()
    if text:
        said[path] = _normal(path, text)
    for child in node:
        _collect(child, f"{path}/{child.tag}", said)


def _normal(path: str, value: str) -> str:
    if path in _PATHS:
        return _normal_path(value)
    if path == _MODE:
        return f"{int(value, 8):04o}"
    return value


def _normal_path(path: str) -> str:
    """A path without needless slashes; the name of an iSCSI target stays as it is."""
    if not path.startswith("/"):
        return path
    return "/" + posixpath.normpath(path).lstrip("/")


def differences(wanted: Meaning, found: Meaning, permissions: set[str]) -> set[str]:
    """The keys of what is wanted or found and not the same in both.

    :param permissions: the keys of permissions that count; libvirt reports those of the directory
    """
    return {
        key
        for key in {**wanted, **found}
        if wanted.get(key) != found.get(key)
        and (key in wanted or key not in _STATED_BY_LIBVIRT)
        and (key in permissions or not key.startswith(PERMISSIONS))
    }


def meaningless(said: Meaning, understood: Meaning) -> list[str]:
    """The options that were stated and that libvirt leaves out for this type of pool."""
    return sorted({option_name(key) for key in said if key not in understood})


def option_name(key: str) -> str:
    """What the option behind a key of a meaning is called."""
    steps = key.split("/")
    start = "/".join(steps[:2])
    return _OPTIONS.get(start, ".".join(steps[:2]))
