# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upload of a sparse 10 GiB image with 200 MiB of data, against virsh vol-upload --sparse."""

from __future__ import annotations

from collections.abc import Iterator

from .frame import Machine, Result, ratio_of_medians
from .libvirt_host import EMPTY_MODULE, EMPTY_VIRSH, private_host
from .sparse_image import SIZE, make_sparse_image

PAIRS = 15
PEER = "virsh vol-upload --sparse; start of the programs taken off"


def measure(_machine: Machine) -> Iterator[Result]:
    """libvirt_volume makes a volume of a file; virsh fills one that is there."""
    memory = 0.0
    with private_host() as host:
        host.make_pool("pool")
        image = str(make_sparse_image(host.folder / "image"))
        start, peer_start = host.start_of(EMPTY_MODULE), host.start_of(EMPTY_VIRSH)

        def ours() -> float:
            nonlocal memory
            host.module("libvirt_volume", pool="pool", name="v", state="absent")
            cost = host.module("libvirt_volume", pool="pool", name="v", upload={"src": image})
            memory = max(memory, cost.memory)
            return cost.seconds - start

        def peer() -> float:
            host.module("libvirt_volume", pool="pool", name="v", state="absent")
            host.virsh("vol-create-as", "pool", "v", str(SIZE), "--allocation", "0")
            cost = host.virsh("vol-upload", "v", image, "--pool", "pool", "--sparse")
            return cost.seconds - peer_start

        ratio, seconds, peer_seconds = ratio_of_medians(ours, peer, PAIRS)
    yield Result("upload", ratio, "ratio", 1.2, PEER, PAIRS)
    yield Result("upload_seconds", seconds, "s", None, "", PAIRS)
    yield Result("upload_peer_seconds", peer_seconds, "s", None, PEER, PAIRS)
    yield Result("upload_memory", memory, "MiB", 150, "", PAIRS)
