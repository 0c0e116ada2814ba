# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full copy of a cached image of 10 GiB with 200 MiB of data, against qemu-img convert."""

from __future__ import annotations

from collections.abc import Iterator

from .beside_nova import beside_nova
from .frame import Machine, Result, ratio_of_medians

PAIRS = 9
LIMIT = 1.1
FORMATS = ("raw", "qcow2")


def measure(_machine: Machine) -> Iterator[Result]:
    """Seconds of the copy, raw to raw and qcow2 to qcow2."""
    with beside_nova("clone.py") as seconds_of:
        found = {each: _compared(seconds_of, each) for each in FORMATS}
    for image_format, (ratio, ours, peer) in found.items():
        name, peer_name = f"clone_{image_format}", f"qemu-img convert -O {image_format}"
        yield Result(name, ratio, "ratio", LIMIT, peer_name, PAIRS)
        yield Result(f"{name}_seconds", ours, "s", None, "", PAIRS)
        yield Result(f"{name}_peer_seconds", peer, "s", None, peer_name, PAIRS)


def _compared(seconds_of, image_format: str) -> tuple[float, float, float]:
    return ratio_of_medians(
        lambda: seconds_of(f"ours {image_format}"),
        lambda: seconds_of(f"peer {image_format}"),
        PAIRS,
    )
