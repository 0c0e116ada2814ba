# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is special about volumes that LVM makes."""

from __future__ import annotations

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    volume_group,
    volume_kinds,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Pool,
    Volume,
)

MIB = 1024**2


def pool(kind: str, capacity: int = 0, available: int = 0) -> Pool:
    live = f"""
        <pool type='{kind}'>
          <capacity unit='bytes'>{capacity}</capacity>
          <allocation unit='bytes'>{capacity - available}</allocation>
          <available unit='bytes'>{available}</available>
        </pool>"""
    return Pool("pool", "", "active", True, True, live, live)


@pytest.mark.parametrize(
    ("total", "free", "size", "grain"),
    [(392, 380, 12, 4), (392, 384, 8, 8), (1000, 970, 30, 10), (31, 0, 31, 31)],
)
def test_grain_is_an_extent_or_a_multiple(total, free, size, grain):
    volume = Volume("pool", "v", f"<volume><capacity>{size * MIB}</capacity></volume>")
    assert volume_group.grain(pool("logical", total * MIB, free * MIB), volume) == grain * MIB


@pytest.mark.parametrize(
    ("kind", "stated", "reserved"),
    [("dir", None, 0), ("logical", None, 8 * MIB), ("logical", "1M", MIB), ("dir", "1M", MIB)],
)
def test_nothing_is_reserved_but_in_a_volume_group(kind, stated, reserved):
    assert volume_kinds.allocation(pool(kind), 8 * MIB, stated) == reserved
