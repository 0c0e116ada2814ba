# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pass of the image cache manager over 500 instances, against that of nova's own."""

from __future__ import annotations

from collections.abc import Iterator

from .beside_nova import beside_nova
from .frame import Machine, Result, ratio_of_medians

PAIRS = 5
LIMIT = 0.5


def measure(_machine: Machine) -> Iterator[Result]:
    """Seconds that a pass takes where 500 disks lie over 20 cached images."""
    with beside_nova("cache_pass.py") as one_pass:
        ratio, ours, novas = ratio_of_medians(
            lambda: one_pass("ours"), lambda: one_pass("novas"), PAIRS
        )
    yield Result("cache_pass", ratio, "ratio", LIMIT, "nova's image cache manager", PAIRS)
    yield Result("cache_pass_seconds", ours, "s", None, "", PAIRS)
    yield Result("cache_pass_seconds_of_nova", novas, "s", None, "", PAIRS)
