# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Download of a sparse 10 GiB image with 200 MiB of data, against virsh vol-download --sparse."""

from __future__ import annotations

from collections.abc import Iterator

from .frame import Machine, Result, ratio_of_medians
from .libvirt_host import EMPTY_MODULE, EMPTY_VIRSH, private_host
from .sparse_image import make_sparse_image

PAIRS = 15
PEER = "virsh vol-download --sparse; start of the programs taken off"


def measure(_machine: Machine) -> Iterator[Result]:
    """Both write a file that is not there yet."""
    memory = 0.0
    with private_host() as host:
        make_sparse_image(host.make_pool("pool") / "v")
        host.virsh("pool-refresh", "pool")
        file = host.folder / "file"
        start, peer_start = host.start_of(EMPTY_MODULE), host.start_of(EMPTY_VIRSH)

        def ours() -> float:
            nonlocal memory
            file.unlink(missing_ok=True)
            download = {"dest": str(file)}
            cost = host.module("libvirt_volume", pool="pool", name="v", download=download)
            memory = max(memory, cost.memory)
            return cost.seconds - start

        def peer() -> float:
            file.unlink(missing_ok=True)
            cost = host.virsh("vol-download", "v", str(file), "--pool", "pool", "--sparse")
            return cost.seconds - peer_start

        ratio, seconds, peer_seconds = ratio_of_medians(ours, peer, PAIRS)
    yield Result("download", ratio, "ratio", 1.2, PEER, PAIRS)
    yield Result("download_seconds", seconds, "s", None, "", PAIRS)
    yield Result("download_peer_seconds", peer_seconds, "s", None, PEER, PAIRS)
    yield Result("download_memory", memory, "MiB", 150, "", PAIRS)
