# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot, snapshot, resize and delete of a server: our driver against nova's qcow2 backend."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import openstack

from tests.e2e.cloud import DEMO, Cloud

from .frame import Machine, Result, ratios_of_medians
from .peer import peer_compute

PAIRS = 9
PEER = "libvirt.LibvirtDriver, images_type=qcow2"
LIMIT = 1.05
FLAVOR = "bench-larger"
#: Seconds between two looks at the state of what is waited for.
PAUSE = 0.05


def measure(machine: Machine) -> Iterator[Result]:
    """Seconds from the API call to the end of each operation, with the same image and flavors."""
    cloud = machine.demo()
    ours = cloud.demo_server().compute_host
    with peer_compute(cloud) as peer, _larger_flavor(cloud) as flavor:
        found = ratios_of_medians(
            lambda: _life(cloud, ours, peer, flavor),
            lambda: _life(cloud, peer, ours, flavor),
            PAIRS,
        )
    for name, (ratio, seconds, peer_seconds) in found.items():
        yield Result(f"server_{name}", ratio, "ratio", LIMIT, PEER, PAIRS)
        yield Result(f"server_{name}_seconds", seconds, "s", None, "", PAIRS)
        yield Result(f"server_{name}_peer_seconds", peer_seconds, "s", None, PEER, PAIRS)


@contextlib.contextmanager
def _larger_flavor(cloud: Cloud) -> Iterator[str]:
    """A flavor like the demo's with a root disk of 1 GiB more: its id."""
    small = cloud.api.compute.find_flavor(DEMO, ignore_missing=False)
    flavor = cloud.api.compute.create_flavor(
        name=FLAVOR, ram=small.ram, vcpus=small.vcpus, disk=small.disk + 1
    )
    try:
        yield flavor.id
    finally:
        cloud.api.compute.delete_flavor(flavor.id)


@contextlib.contextmanager
def _only(cloud: Cloud, host: str) -> Iterator[None]:
    """The scheduler does not choose a host in here."""
    (service,) = [s for s in cloud.api.compute.services(binary="nova-compute") if s.host == host]
    cloud.api.compute.disable_service(service)
    try:
        yield
    finally:
        cloud.api.compute.enable_service(service)


def _life(cloud: Cloud, host: str, other: str, flavor: str) -> dict[str, float]:
    """A server from its boot on a host to its end: seconds of each operation."""
    compute = cloud.api.compute
    costs = {}
    start = time.perf_counter()
    server = cloud.boot("bench-server", host=host)
    image = None
    try:
        costs["boot"] = _until(lambda: _is(cloud, server, "ACTIVE"), start)
        cloud.wait(server, "ACTIVE")

        start = time.perf_counter()
        image = compute.create_server_image(server.id, "bench-snapshot", wait=False)
        costs["snapshot"] = _until(
            lambda: cloud.api.image.get_image(image.id).status == "active", start
        )
        cloud.wait(server, "ACTIVE")

        with _only(cloud, other):
            start = time.perf_counter()
            compute.resize_server(server.id, flavor)
            costs["resize"] = _until(lambda: _is(cloud, server, "VERIFY_RESIZE"), start)
        compute.confirm_server_resize(server.id)
        cloud.wait(server, "ACTIVE")
    finally:
        if image is not None:
            cloud.api.image.delete_image(image.id)
        start = time.perf_counter()
        compute.delete_server(server.id)
        costs["delete"] = _until(lambda: _is_gone(cloud, server), start)
    return costs


def _until(look, start: float) -> float:
    """Seconds from a start to the moment when `look` is true."""
    while not look():
        time.sleep(PAUSE)
    return time.perf_counter() - start


def _is(cloud: Cloud, server, status: str) -> bool:
    """Whether a server has a status, or will never have it: what follows tells that."""
    return cloud.api.compute.get_server(server.id).status in (status, "ERROR")


def _is_gone(cloud: Cloud, server) -> bool:
    try:
        cloud.api.compute.get_server(server.id)
    except openstack.exceptions.NotFoundException:
        return True
    return False
