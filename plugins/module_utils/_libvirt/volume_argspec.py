# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments of libvirt_volume and libvirt_volume_info."""

from __future__ import annotations

from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.argspec import (
    PERMISSIONS,
    SECRET,
)

_VOLUME_NAME: dict[str, dict[str, Any]] = {
    "pool": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
}

VOLUME_ARGUMENTS: dict[str, dict[str, Any]] = {
    **_VOLUME_NAME,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "capacity": {"type": "str"},
    "allocation": {"type": "str"},
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
    "upload": {
        "type": "dict",
        "options": {
            "src": {"type": "path", "required": True},
            "replace": {
                "type": "str",
                "choices": ["never", "unused", "stopped"],
                "default": "unused",
            },
            "in_place": {"type": "bool", "default": False},
        },
    },
    "download": {
        "type": "dict",
        "options": {
            "dest": {"type": "path", "required": True},
            "force": {"type": "bool", "default": True},
        },
    },
    "wipe": {
        "type": "str",
        "choices": [
            "zero",
            "nnsa",
            "dod",
            "bsi",
            "gutmann",
            "schneier",
            "pfitzner7",
            "pfitzner33",
            "random",
            "trim",
        ],
    },
    "encryption": {
        "type": "dict",
        "options": {
            "format": {"type": "str", "choices": ["luks"], "default": "luks"},
            "secret": SECRET,
            "cipher": {
                "type": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "size": {"type": "int", "required": True},
                    "mode": {"type": "str"},
                    "hash": {"type": "str"},
                },
            },
            "ivgen": {
                "type": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "hash": {"type": "str"},
                },
            },
        },
    },
    "permissions": PERMISSIONS,
    "allow_shrink": {"type": "bool", "default": False},
}

VOLUME_INFO_ARGUMENTS: dict[str, dict[str, Any]] = {
    "pool": {"type": "str"},
    "name": {"type": "str"},
    "format": {"type": "str"},
    "path": {"type": "path"},
}
