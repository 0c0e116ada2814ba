# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments of libvirt_secret and libvirt_secret_info."""

from __future__ import annotations

from typing import Any

SECRET_USAGES = ("volume", "iscsi", "ceph", "tls", "vtpm")

SECRET_ARGUMENTS: dict[str, dict[str, Any]] = {
    "usage": {"type": "str", "choices": list(SECRET_USAGES), "required": True},
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "uuid": {"type": "str"},
    "description": {"type": "str"},
    "private": {"type": "bool"},
    "ephemeral": {"type": "bool"},
    "value": {"type": "str", "no_log": True},
    "encoding": {"type": "str", "choices": ["text", "base64"], "default": "text"},
    "update_value": {
        "type": "str",
        "choices": ["if_different", "always"],
        "default": "if_different",
    },
}

SECRET_INFO_ARGUMENTS: dict[str, dict[str, Any]] = {
    "usage": {"type": "list", "elements": "str", "choices": ["none", *SECRET_USAGES]},
    "name": {"type": "list", "elements": "str"},
}
