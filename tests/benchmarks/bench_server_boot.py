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


def _boot(cloud: Cloud, template, host: str) -> float:
    """Seconds from the API call to ACTIVE; the server is deleted again."""
    start = time.perf_counter()
    server = cloud.api.compute.create_server(
        name="bench-boot",
        image_id=template.image.id,
        flavor_id=cloud.api.compute.find_flavor(template.flavor.original_name).id,
        networks="none",
        host=host,
    )
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
    server = cloud.api.compute.get_server(cloud.api.compute.find_server("demo").id)
    with peer_compute(cloud) as peer:
        ratio, ours, theirs = ratio_of_medians(
            lambda: _boot(cloud, server, server.compute_host),
            lambda: _boot(cloud, server, peer),
            PAIRS,
        )
    peer_name = "libvirt.LibvirtDriver, images_type=qcow2"
    yield Result("server_boot", ratio, "ratio", 1.05, peer_name, PAIRS)
    yield Result("server_boot_seconds", ours, "s", None, "", PAIRS)
    yield Result("server_boot_peer_seconds", theirs, "s", None, peer_name, PAIRS)
