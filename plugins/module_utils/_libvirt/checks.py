# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with an option by itself, before anything is looked at."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused


def require_name(option: str, name: str) -> None:
    """Refuse a name that libvirt or a file system cannot hold.

    :param option: the module's option that gave the name
    """
    if not name.strip():
        raise Refused(f"{option} is empty.")
    if "/" in name or name in (".", ".."):
        raise Refused(f"{option}={name!r} is no name: it must not be a path or hold a slash.")
    if not name.isprintable():
        raise Refused(f"{option}={name!r} holds characters that cannot be printed.")


def require_mode(permissions: dict[str, Any] | None) -> None:
    """Refuse permissions whose mode is no octal number."""
    mode = (permissions or {}).get("mode")
    if mode is not None and not re.fullmatch("0*[0-7]{1,4}", mode):
        raise Refused(f'permissions.mode={mode!r} is not octal. Write, for example, "0711".')
