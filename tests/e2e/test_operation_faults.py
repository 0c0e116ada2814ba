# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kill at any moment of an operation leaves no lost disk, no orphan, no server without a way on.

What is killed when follows from POLYVISOR_SEED; POLYVISOR_TEST_FULL tries many moments. Each point
and what came of it is printed.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import openstack
import pytest

from .cloud import MARKER, eventually, run, volumes_of
from .faults import FULL, SEED, VICTIMS, kill_by_name, runs

#: Seconds until nova-compute has come back and done what it does about its servers.
RECOVERY = 180
#: Where the demo's nova-compute reads what is set beside its configuration.
DROP_IN = "/etc/nova/compute/nova-pools.d/e2e-legacy.conf"
LEGACY = "[libvirt_storage]\\nenabled = false\\n"


@dataclass(frozen=True)
class Operation:
    """Something that is done to a server, and about how many seconds it takes."""

    name: str
    seconds: float


OPERATIONS = (
    Operation("spawn", 3.0),
    Operation("resize", 5.0),
    Operation("snapshot", 3.0),
    Operation("transition", 4.0),
    Operation("delete", 2.0),
)


def points() -> list[tuple[Operation, str, float]]:
    """Operations, what is killed in them, and after how many seconds."""
    chooser = random.Random(SEED)
    victims = ("nova-compute", "libvirtd")
    every = [
        (operation, victim, round(chooser.uniform(0, operation.seconds), 2))
        for operation in OPERATIONS
        for victim in victims
        for _number in range(3)
    ]
    return every if FULL else chooser.sample(every, 3)


@pytest.fixture
def legacy(cloud):
    """Let nova-compute make disks with nova's own backend in here: legacy(True), legacy(False)."""

    def set_legacy(wanted: bool) -> None:
        if wanted:
            run("sh", "-c", f"umask 027; printf '{LEGACY}' > {DROP_IN}; chgrp nova {DROP_IN}")
        else:
            run("rm", "-f", DROP_IN)
        kill_by_name(VICTIMS["nova-compute"])
        wait_for_compute(cloud)

    yield set_legacy
    if run("find", DROP_IN.rpartition("/")[0], "-name", DROP_IN.rpartition("/")[2]):
        set_legacy(False)


def wait_for_compute(cloud) -> None:
    """Wait until nova-compute runs and has told Nova so since."""
    eventually(lambda: runs(VICTIMS["nova-compute"]), RECOVERY, "nova-compute back")
    (service,) = cloud.api.compute.services(binary="nova-compute")
    before = service.updated_at

    def has_reported() -> bool:
        (now,) = cloud.api.compute.services(binary="nova-compute")
        # Nova disables it for as long as libvirt does not answer.
        return (now.state, now.status) == ("up", "enabled") and now.updated_at != before

    eventually(has_reported, RECOVERY, "a sign of life of nova-compute")


def settled(cloud, server):
    """The server once nothing is under way on it; None once it is gone."""

    def look() -> list:
        try:
            found = cloud.api.compute.get_server(server.id)
        except openstack.exceptions.NotFoundException:
            return [None]
        return [] if found.task_state else [found]

    return eventually(look, RECOVERY, f"an end of what is under way on {server.name}")[0]


def begin(cloud, operation: str, server, flavor) -> list:
    """Ask for an operation; returns the snapshots that are made."""
    compute = cloud.api.compute
    if operation == "resize":
        compute.resize_server(server, flavor(disk=2).id)
    elif operation == "snapshot":
        return [compute.create_server_image(server, f"{server.name}-snapshot", wait=False)]
    elif operation == "transition":
        compute.reboot_server(server, "HARD")
    elif operation == "delete":
        compute.delete_server(server)
    return []


@pytest.mark.parametrize(
    ("operation", "victim", "moment"),
    points(),
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_killed_operation_leaves_a_way_on(
    cloud, boot, flavor, legacy, capsys, operation, victim, moment
):
    if operation.name == "transition":
        legacy(True)
    if operation.name == "spawn":
        server = boot(wait="")
    else:
        server = boot()
        cloud.wait_for_console(server, MARKER)
    if operation.name == "transition":
        legacy(False)
        assert volumes_of(server.id) == {}

    snapshots = begin(cloud, operation.name, server, flavor)
    time.sleep(moment)
    kill_by_name(VICTIMS[victim])
    wait_for_compute(cloud)
    found = settled(cloud, server)
    status = "gone" if found is None else found.status
    with capsys.disabled():
        print(f"\n{operation.name}: {victim} killed after {moment} s: {status}")

    if found is not None and operation.name != "spawn":
        boots_again(cloud, found, operation.name)
    elif found is not None:
        assert status in ("ACTIVE", "ERROR")
    cloud.delete(server)
    assert volumes_of(server.id) == {}
    for snapshot in snapshots:
        cloud.api.image.delete_image(snapshot.id, ignore_missing=True)


def boots_again(cloud, server, operation: str) -> None:
    """A server that had a disk has it still, and runs from it, where nothing tells otherwise."""
    if server.status == "VERIFY_RESIZE":
        cloud.api.compute.confirm_server_resize(server)
        cloud.wait(server, "ACTIVE")
    if server.status == "ERROR":
        assert server.fault["message"]
        cloud.api.compute.reset_server_state(server, "active")
    if operation == "delete" and server.status == "ACTIVE":
        return
    cloud.api.compute.reboot_server(server, "HARD")
    cloud.wait(server, "ACTIVE", RECOVERY)
    cloud.wait_for_console(server, MARKER)
    assert "disk" in volumes_of(server.id)
