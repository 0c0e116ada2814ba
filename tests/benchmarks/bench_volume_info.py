# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""1,000 volumes in 10 pools in one call, against virsh vol-list --details for each pool."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .frame import BenchmarkError, Machine, Result, ratio_of_medians
from .libvirt_host import EMPTY_MODULE, EMPTY_VIRSH, private_host

PAIRS = 15
POOLS = 10
VOLUMES = 100
PEER = f"virsh vol-list --details, {POOLS} times; start of the programs taken off"


def measure(_machine: Machine) -> Iterator[Result]:
    """libvirt_volume_info without filters; sparse raw files of 1 MiB."""
    memory = 0.0
    names = [f"pool{number}" for number in range(POOLS)]
    with private_host() as host:
        for name in names:
            folder = host.make_pool(name)
            for number in range(VOLUMES):
                with (folder / f"volume{number}").open("wb") as file:
                    file.truncate(1024**2)
            host.virsh("pool-refresh", name)
        start, peer_start = host.start_of(EMPTY_MODULE), host.start_of(EMPTY_VIRSH)

        def ours() -> float:
            nonlocal memory
            cost = host.module("libvirt_volume_info")
            found = len(json.loads(cost.output)["volumes"])
            if found != POOLS * VOLUMES:
                raise BenchmarkError(f"{found} volumes were found")
            memory = max(memory, cost.memory)
            return cost.seconds - start

        def peer() -> float:
            runs = [host.virsh("vol-list", "--details", name) for name in names]
            return sum(run.seconds - peer_start for run in runs)

        ratio, seconds, peer_seconds = ratio_of_medians(ours, peer, PAIRS)
    yield Result("volume_info", ratio, "ratio", 2.0, PEER, PAIRS)
    yield Result("volume_info_seconds", seconds, "s", None, "", PAIRS)
    yield Result("volume_info_peer_seconds", peer_seconds, "s", None, PEER, PAIRS)
    yield Result("volume_info_memory", memory, "MiB", None, "", PAIRS)
