# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot of a server: our driver against nova's own with its qcow2 backend."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.e2e.cloud import Cloud

from .frame import Machine, Result, ratio_of_medians
from .peer import peer_compute

PAIRS = 15
PEER = "libvirt.LibvirtDriver, images_type=qcow2"


def measure(machine: Machine) -> Iterator[Result]:
    """Seconds from the API call to ACTIVE, with the same image and flavor."""
    cloud = machine.demo()
    ours = cloud.demo_server().compute_host
    with peer_compute(cloud) as peer:
        ratio, seconds, peer_seconds = ratio_of_medians(
            lambda: _boot(cloud, ours),
            lambda: _boot(cloud, peer),
            PAIRS,
        )
    yield Result("server_boot", ratio, "ratio", 1.05, PEER, PAIRS)
    yield Result("server_boot_seconds", seconds, "s", None, "", PAIRS)
    yield Result("server_boot_peer_seconds", peer_seconds, "s", None, PEER, PAIRS)


def _boot(cloud: Cloud, host: str) -> float:
    """Boot a server on a host and delete it again; seconds from the API call to ACTIVE."""
    start = time.perf_counter()
    server = cloud.boot("bench-boot", host=host)
    try:
        while cloud.api.compute.get_server(server.id).status not in ("ACTIVE", "ERROR"):
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        cloud.wait(server, "ACTIVE")
    finally:
        cloud.delete(server)
    return seconds
