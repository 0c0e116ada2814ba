# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments of libvirt_pool and libvirt_pool_info."""

from __future__ import annotations

from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.argspec import (
    PERMISSIONS,
    SECRET,
)

_ADAPTER: dict[str, Any] = {
    "type": "dict",
    "options": {
        "type": {"type": "str", "choices": ["scsi_host", "fc_host"], "default": "scsi_host"},
        "name": {"type": "str"},
        "parentaddr": {
            "type": "dict",
            "options": {
                "unique_id": {"type": "int", "required": True},
                "domain": {"type": "str", "default": "0x0000"},
                "bus": {"type": "str", "default": "0x00"},
                "slot": {"type": "str", "required": True},
                "function": {"type": "str", "default": "0x0"},
            },
        },
        "wwnn": {"type": "str"},
        "wwpn": {"type": "str"},
        "parent": {"type": "str"},
        "parent_wwnn": {"type": "str"},
        "parent_wwpn": {"type": "str"},
        "parent_fabric_wwn": {"type": "str"},
        "managed": {"type": "bool"},
    },
    "required_if": [("type", "fc_host", ("wwnn", "wwpn"))],
    "mutually_exclusive": [("name", "parentaddr")],
}

_AUTH: dict[str, Any] = {
    "type": "dict",
    "options": {
        "type": {"type": "str", "choices": ["chap", "ceph"], "required": True},
        "username": {"type": "str", "required": True},
        "secret": SECRET,
    },
}

_SOURCE: dict[str, Any] = {
    "type": "dict",
    "options": {
        "hosts": {
            "type": "list",
            "elements": "dict",
            "options": {"name": {"type": "str", "required": True}, "port": {"type": "int"}},
        },
        "dir": {"type": "str"},
        "devices": {"type": "list", "elements": "str"},
        "part_separator": {"type": "bool"},
        "name": {"type": "str"},
        "adapter": _ADAPTER,
        "format": {"type": "str"},
        "initiator": {"type": "str"},
        "auth": _AUTH,
        "vendor": {"type": "str"},
        "product": {"type": "str"},
        "protocol_version": {"type": "str"},
    },
}

POOL_TYPES = (
    *("dir", "fs", "netfs", "disk", "logical", "iscsi", "iscsi-direct", "scsi", "mpath", "rbd"),
    *("sheepdog", "gluster", "zfs", "vstorage"),
)

POOL_ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "choices": list(POOL_TYPES)},
    "source": _SOURCE,
    "target": {
        "type": "dict",
        "options": {"path": {"type": "path"}, "permissions": PERMISSIONS},
    },
    "features": {"type": "dict", "options": {"cow": {"type": "bool"}}},
    "mount_options": {"type": "list", "elements": "str"},
    "rbd_options": {"type": "dict"},
    "volume_allocation": {"type": "str", "choices": ["default", "capacity"]},
    "xml": {"type": "str"},
    "state": {
        "type": "str",
        "choices": ["active", "inactive", "undefined", "deleted"],
        "default": "active",
    },
    "autostart": {"type": "bool"},
    "build": {
        "type": "str",
        "choices": ["never", "if_needed", "overwrite"],
        "default": "if_needed",
    },
    "refresh": {"type": "bool", "default": False},
    "restart": {"type": "bool", "default": False},
    "delete_data": {"type": "bool", "default": False},
}

# Raw XML says all of what these say.
POOL_EXCLUSIONS = [
    ("xml", option)
    for option in (
        *("type", "source", "target", "features", "mount_options", "rbd_options"),
        "volume_allocation",
    )
]

POOL_STATES = ("active", "inactive", "building", "degraded", "inaccessible")

POOL_INFO_ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "list", "elements": "str"},
    "type": {"type": "list", "elements": "str", "choices": list(POOL_TYPES)},
    "state": {"type": "list", "elements": "str", "choices": list(POOL_STATES)},
    "volumes": {"type": "bool", "default": False},
}
