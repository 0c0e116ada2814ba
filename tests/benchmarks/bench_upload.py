# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upload of a sparse 10 GiB image with 200 MiB of data, against virsh vol-upload --sparse."""

from __future__ import annotations

from collections.abc import Iterator

from .frame import Machine, Result, ratio_of_medians
from .libvirt_host import EMPTY_MODULE, EMPTY_VIRSH, Host, private_host
from .sparse_image import SIZE, make_sparse_image

PAIRS = 15
PEER = "virsh vol-upload --sparse; start of the programs taken off"


def measure(_machine: Machine) -> Iterator[Result]:
    """libvirt_volume makes a volume of a file; virsh fills one that is there.

    Both once on libvirt's machine, and once as if it were another one, through streams.
    """
    with private_host() as host:
        host.make_pool("pool")
        image = str(make_sparse_image(host.folder / "image"))
        yield from _compare(host, "upload", image, "qemu:///system")
        yield from _compare(host, "upload_from_afar", image, host.distant())


def _compare(host: Host, name: str, image: str, uri: str) -> Iterator[Result]:
    start, peer_start = host.start_of(EMPTY_MODULE), host.start_of(EMPTY_VIRSH)
    volume = {"uri": uri, "pool": "pool", "name": "v"}
    memory = 0.0

    def ours() -> float:
        nonlocal memory
        host.module("libvirt_volume", state="absent", **volume)
        cost = host.module("libvirt_volume", upload={"src": image}, **volume)
        memory = max(memory, cost.memory)
        return cost.seconds - start

    def peer() -> float:
        host.module("libvirt_volume", state="absent", **volume)
        host.virsh("vol-create-as", "pool", "v", str(SIZE), "--allocation", "0")
        cost = host.virsh("--connect", uri, "vol-upload", "v", image, "--pool=pool", "--sparse")
        return cost.seconds - peer_start

    ratio, seconds, peer_seconds = ratio_of_medians(ours, peer, PAIRS)
    yield Result(name, ratio, "ratio", 1.2, PEER, PAIRS)
    yield Result(f"{name}_seconds", seconds, "s", None, "", PAIRS)
    yield Result(f"{name}_peer_seconds", peer_seconds, "s", None, PEER, PAIRS)
    yield Result(f"{name}_memory", memory, "MiB", 150, "", PAIRS)
