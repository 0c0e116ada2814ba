# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Download of a sparse 10 GiB image with 200 MiB of data, against virsh vol-download --sparse."""

from __future__ import annotations

from collections.abc import Iterator

from .frame import Machine, Result, ratio_of_medians
from .libvirt_host import EMPTY_MODULE, EMPTY_VIRSH, Host, private_host
from .sparse_image import make_sparse_image

PAIRS = 15
PEER = "virsh vol-download --sparse; start of the programs taken off"


def measure(_machine: Machine) -> Iterator[Result]:
    """Both write a file that is not there yet.

    Once on libvirt's machine, and once as if it were another one, through streams.
    """
    with private_host() as host:
        make_sparse_image(host.make_pool("pool") / "v")
        host.virsh("pool-refresh", "pool")
        yield from _compare(host, "download", "qemu:///system")
        yield from _compare(host, "download_from_afar", host.distant())


def _compare(host: Host, name: str, uri: str) -> Iterator[Result]:
    start, peer_start = host.start_of(EMPTY_MODULE), host.start_of(EMPTY_VIRSH)
    file = host.folder / "file"
    volume = {"uri": uri, "pool": "pool", "name": "v"}
    memory = 0.0

    def ours() -> float:
        nonlocal memory
        file.unlink(missing_ok=True)
        cost = host.module("libvirt_volume", download={"dest": str(file)}, **volume)
        memory = max(memory, cost.memory)
        return cost.seconds - start

    def peer() -> float:
        file.unlink(missing_ok=True)
        command = ("vol-download", "v", str(file), "--pool=pool", "--sparse")
        return host.virsh("--connect", uri, *command).seconds - peer_start

    ratio, seconds, peer_seconds = ratio_of_medians(ours, peer, PAIRS)
    yield Result(name, ratio, "ratio", 1.2, PEER, PAIRS)
    yield Result(f"{name}_seconds", seconds, "s", None, "", PAIRS)
    yield Result(f"{name}_peer_seconds", peer_seconds, "s", None, PEER, PAIRS)
    yield Result(f"{name}_memory", memory, "MiB", 150, "", PAIRS)
