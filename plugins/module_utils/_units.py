# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes as users and libvirt write them."""

from __future__ import annotations

import re
from decimal import Decimal

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused

_PREFIXES = "KMGTPE"
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z]*)")


def _factor(unit: str) -> int | None:
    """The bytes in one unit (``K``, ``KiB``: 1024; ``KB``: 1000), or None."""
    name = unit.upper()
    if name in ("", "B", "BYTE", "BYTES"):
        return 1
    power = _PREFIXES.find(name[0]) + 1
    base = {"": 1024, "IB": 1024, "B": 1000}.get(name[1:])
    return base**power if power and base else None


def parse_size(text: str) -> int:
    """Bytes of a size such as ``10GiB``, ``10G`` (the same), ``10GB`` (decimal) or ``4096``.

    The units are those of libvirt's XML, upper or lower case.

    :raises Refused: for anything else, and for a size that is no whole number of bytes
    """
    match = _SIZE.fullmatch(text.strip())
    factor = _factor(match["unit"]) if match else None
    if factor is None:
        raise Refused(
            f"{text!r} is not a size. Write bytes as a plain number, or a number with a unit: "
            "KiB, MiB, GiB, TiB, PiB, EiB or just K, M, G, T, P, E (powers of 1024), "
            "KB, MB, GB, TB, PB, EB (powers of 1000)."
        )
    size = Decimal(match["number"]) * factor
    if size != int(size):
        raise Refused(f"{text!r} is not a whole number of bytes.")
    if size >= 2**63:
        raise Refused(f"{text!r} is more than libvirt can count (8 EiB).")
    return int(size)


def format_size(size: int) -> str:
    """A size for a message: ``10 GiB (10737418240 bytes)``, ``1000 bytes``."""
    for power in range(len(_PREFIXES), 0, -1):
        unit = 1024**power
        if size >= unit and size % unit == 0:
            return f"{size // unit} {_PREFIXES[power - 1]}iB ({size} bytes)"
    return f"{size} bytes"
