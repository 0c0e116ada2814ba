# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments that the libvirt modules share; documented in doc_fragments/libvirt.py."""

from __future__ import annotations

from typing import Any

LIBVIRT_ARGUMENTS: dict[str, dict[str, Any]] = {
    "uri": {"type": "str", "default": "qemu:///system"},
}

_PERMISSIONS: dict[str, Any] = {
    "type": "dict",
    "options": {
        "mode": {"type": "str"},
        "owner": {"type": "int"},
        "group": {"type": "int"},
        "label": {"type": "str"},
    },
}

POOL_ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "choices": ["dir", "fs", "disk"]},
    "source": {
        "type": "dict",
        "options": {
            "devices": {"type": "list", "elements": "str"},
            "format": {"type": "str"},
        },
    },
    "target": {
        "type": "dict",
        "options": {"path": {"type": "path"}, "permissions": _PERMISSIONS},
    },
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

_VOLUME_NAME: dict[str, dict[str, Any]] = {
    "pool": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
}

VOLUME_ARGUMENTS: dict[str, dict[str, Any]] = {
    **_VOLUME_NAME,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "capacity": {"type": "str"},
    "allocation": {"type": "str", "default": "0"},
    "format": {"type": "str"},
    "clone": {"type": "dict", "options": _VOLUME_NAME},
    "backing": {
        "type": "dict",
        "options": {
            "pool": {"type": "str"},
            "name": {"type": "str"},
            "path": {"type": "path"},
            "format": {"type": "str"},
        },
        "mutually_exclusive": [("name", "path")],
        "required_one_of": [("name", "path")],
        "required_together": [("pool", "name")],
    },
    "permissions": _PERMISSIONS,
    "allow_shrink": {"type": "bool", "default": False},
}

POOL_INFO_ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "list", "elements": "str"},
    "volumes": {"type": "bool", "default": False},
}

VOLUME_INFO_ARGUMENTS: dict[str, dict[str, Any]] = {
    "pool": {"type": "str"},
    "name": {"type": "str"},
}
