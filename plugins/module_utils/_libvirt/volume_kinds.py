# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the volumes of a type of pool can do, and formats of images."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import Pool
from ansible_collections.polyvisor.compute.plugins.module_utils._units import parse_size

# Bytes that an image may be larger than asked for: libvirt asks qemu-img for whole KiB, and vpc
# counts in cylinders of up to 16 heads and 255 sectors.
_GRAIN = 1024
_GRAINS = {"raw": 512, "vpc": 16 * 255 * 512}
# Pools whose volumes are files, which libvirt can resize.
FILE_POOLS = ("dir", "fs", "netfs", "vstorage")
# Pools in which libvirt makes a volume of any name, with the content of another one.
COPYING_POOLS = (*FILE_POOLS, "logical")
# Formats that libvirt can make a file of.
CREATABLE = ("raw", "qcow2", "qcow", "qed", "vdi", "vmdk", "vpc", "ploop", "dir")
# Formats whose header can name a backing file.
LAYERED = ("qcow2", "qcow", "qed", "vmdk")


def grain(image_format: str) -> int:
    """The bytes by which two capacities of an image differ at least, if they do."""
    return _GRAINS.get(image_format, _GRAIN)


def allocation(pool: Pool, capacity: int, stated: str | None = None) -> int:
    """The bytes to reserve for a new volume.

    In a volume group that is all of it: of less, libvirt makes a snapshot of nothing, which LVM
    drops with all that was written to it as soon as that is more than was reserved.

    :param stated: the module's option ``allocation``
    """
    if stated is not None:
        return parse_size(stated)
    return capacity if kind(pool) == "logical" else 0


def kind(pool: Pool) -> str:
    """The type of a pool."""
    return ET.fromstring(pool.live).get("type", "")


def directory(pool: Pool) -> str:
    """The path of a pool's target; empty where it has none."""
    return ET.fromstring(pool.live).findtext("target/path", "")
