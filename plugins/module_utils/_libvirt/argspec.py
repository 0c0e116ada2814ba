# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments that the libvirt modules share; documented in doc_fragments/libvirt.py."""

from __future__ import annotations

from typing import Any

LIBVIRT_ARGUMENTS: dict[str, dict[str, Any]] = {
    "uri": {"type": "str", "default": "qemu:///system"},
    "timeout": {"type": "int", "default": 60},
}

PERMISSIONS: dict[str, Any] = {
    "type": "dict",
    "options": {
        "mode": {"type": "str"},
        "owner": {"type": "int"},
        "group": {"type": "int"},
        "label": {"type": "str"},
    },
}

# What names a secret that libvirt keeps; not the secret itself.
SECRET: dict[str, Any] = {
    "type": "dict",
    "required": True,
    "no_log": False,
    "options": {"usage": {"type": "str"}, "uuid": {"type": "str"}},
    "mutually_exclusive": [("usage", "uuid")],
    "required_one_of": [("usage", "uuid")],
}
