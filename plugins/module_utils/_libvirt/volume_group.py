# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is special about the volumes of a logical pool: LVM makes them, of whole extents."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Pool,
    Volume,
)

_FIGURES = ("capacity", "allocation", "available")


def grain(pool: Pool, volume: Volume) -> int:
    """How many bytes a volume may be larger than asked for: less than an extent.

    libvirt does not tell the size of an extent, but figures that are multiples of it. Their
    greatest common divisor is that size, or a multiple of it where there are few extents.
    """
    figures = [ET.fromstring(pool.live).findtext(figure, "0") for figure in _FIGURES]
    figures.append(volume.root.findtext("capacity", "0"))
    return math.gcd(*map(int, figures))
