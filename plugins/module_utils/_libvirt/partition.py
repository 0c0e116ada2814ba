# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is special about the volumes of a disk pool: they are partitions."""

from __future__ import annotations

import posixpath
import xml.etree.ElementTree as ET

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    OperationFailed,
    Refused,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Client,
    Pool,
)

_SECTOR = 512
# In a DOS partition table libvirt rounds up to cylinders of 255 heads and 63 sectors, and may skip
# one track.
_CYLINDER_AND_TRACK = 256 * 63 * _SECTOR


def grain(pool: Pool) -> int:
    """How many bytes a partition may be larger than asked for."""
    table = ET.fromstring(pool.live).find("source/format")
    is_dos = table is not None and table.get("type") == "dos"
    return _CYLINDER_AND_TRACK if is_dos else _SECTOR


def require_next_name(client: Client, pool: Pool, name: str) -> None:
    """Refuse a name other than the one that the next partition will have.

    libvirt notices only after it has made the partition, and leaves it there.
    """
    device = ET.fromstring(pool.live).find("source/device").get("path")
    stem = posixpath.basename(device)
    stem += "p" if stem[-1].isdigit() else ""
    taken = {volume.name for volume in client.volumes(pool.name)}
    number = next(number for number in range(1, len(taken) + 2) if f"{stem}{number}" not in taken)
    if name != f"{stem}{number}":
        raise Refused(
            f"The volumes of pool {pool.name!r} are partitions of {device}, so that the next one is "
            f"called {stem}{number}, not {name!r}."
        )


def not_deleted(pool: str, name: str, error: OperationFailed) -> OperationFailed:
    """The error of a partition that libvirt could not delete, and what to do."""
    return OperationFailed(
        f"{error} libvirt cannot delete partitions of a device whose name ends in a digit, such "
        f"as nvme0n1 or loop0. Partition {name!r} of pool {pool!r} is still there: remove it with "
        "parted or sfdisk, then refresh the pool.",
        error.code,
    )
