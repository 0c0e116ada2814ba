# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot of a server: our driver against nova's own with its qcow2 backend."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.e2e.cloud import Cloud, make

from .frame import Result, ratio_of_medians
from .peer import peer_compute

PAIRS = 15


def _boot(cloud: Cloud, host: str) -> float:
    """Seconds from the API call to ACTIVE; the server is deleted again."""
    start = time.perf_counter()
    server = cloud.boot("bench-boot", host=host)
    while cloud.api.compute.get_server(server.id).status not in ("ACTIVE", "ERROR"):
        time.sleep(0.02)
    seconds = time.perf_counter() - start
    cloud.wait(server, "ACTIVE")
    cloud.delete(server)
    return seconds


def bench_server_boot() -> Iterator[Result]:
    """API call to ACTIVE on one machine, in turn, with the same image and flavor."""
    done = make("demo")
    if done.returncode:
        raise SystemExit(done.stdout)
    cloud = Cloud()
    ours = cloud.demo_server().compute_host
    with peer_compute(cloud) as peer:
        ratio, seconds, peer_seconds = ratio_of_medians(
            lambda: _boot(cloud, ours),
            lambda: _boot(cloud, peer),
            PAIRS,
        )
    peer_name = "libvirt.LibvirtDriver, images_type=qcow2"
    yield Result("server_boot", ratio, "ratio", 1.05, peer_name, PAIRS)
    yield Result("server_boot_seconds", seconds, "s", None, "", PAIRS)
    yield Result("server_boot_peer_seconds", peer_seconds, "s", None, peer_name, PAIRS)
