# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two hosts as places that servers move between."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import openstack
import pytest

from tests.e2e.cloud import BASE_POOL, DISKS_POOL, Cloud, Volume, boots, eventually, run, volumes

GIB = 1024**3
MIB = 1024**2
SHARED_POOL = "nova-shared-pool"
DIRECTORY = "/var/lib/nova/pools/instances"
UNIT = "nova-compute-pools.service"
#: The servers stay on the two hosts, whatever others the cloud has.
ZONE = "polyvisor-molecule"
#: Seconds that a step may take, where QEMU emulates on a machine that is busy with the other lane.
PATIENCE = 240


@dataclass(frozen=True)
class Node:
    """One of the hosts."""

    container: str

    @property
    def name(self) -> str:
        """What Nova knows it by."""
        return f"{self.container}-pools"

    def run(self, *command: str) -> str:
        """A command's standard output, in the container.

        :raises subprocess.CalledProcessError: it failed
        """
        pid = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], f"{self.container}.pid")
        return run("nsenter", "--all", "--target", pid.read_text(encoding="ascii"), *command)

    def volumes_of(self, server, pool: str = DISKS_POOL) -> dict[str, Volume]:
        """A server's volumes by the part of their name that follows its uuid."""
        prefix = f"{server.id}_"
        return {
            name.removeprefix(prefix): volume
            for name, volume in volumes(pool, self.run).items()
            if name.startswith(prefix)
        }

    def runs(self, server) -> bool:
        """Whether it runs here."""
        return server.id in self.run("virsh", "list", "--uuid")

    def left(self, server, pool: str = DISKS_POOL) -> list[str]:
        """What there is of a server: its volumes, its domain, its directories."""
        domains = self.run("virsh", "list", "--all", "--uuid").split()
        directories = self.run("find", DIRECTORY, "-maxdepth", "1", "-name", f"{server.id}*")
        return [
            *self.volumes_of(server, pool),
            *(domain for domain in domains if domain == server.id),
            *directories.split(),
        ]


class Hosts:
    """Both hosts, with the cloud that they belong to."""

    def __init__(self, cloud: Cloud, nodes: tuple[Node, Node]) -> None:
        self.cloud = cloud
        self.compute = cloud.api.compute
        self.nodes = nodes

    @contextlib.contextmanager
    def booting(self, flavor: Callable) -> Iterator[Callable]:
        """Give a function that boots a server on a host; delete the servers, to the last trace."""
        made = []

        def boot_server(node: Node, **sizes: int):
            server = self.cloud.boot(
                f"moved-{uuid.uuid4().hex[:8]}",
                flavor_id=flavor(**sizes).id,
                availability_zone=ZONE,
                host=node.name,
                config_drive=True,
            )
            made.append(server)
            return self.cloud.wait(server, "ACTIVE", PATIENCE)

        yield boot_server
        for server in made:
            self.cloud.delete(server)
            for node in self.nodes:
                self.assert_nothing_on(node, server)

    def boots(self, server, at_least: int = 1) -> int:
        """How often the guest has booted from its disk, once it has done so that often."""
        return boots(self.cloud, server, at_least, PATIENCE)

    def wait(self, server, status: str) -> None:
        """Wait until a server has a status and no task."""
        self.cloud.wait(server, status, PATIENCE)

    def fresh(self, server):
        """The server as the API shows it now."""
        return self.compute.get_server(server.id)

    def of(self, server) -> tuple[Node, Node]:
        """The host that a server is on, and the other one."""
        host = self.fresh(server).compute_host
        here, there = sorted(self.nodes, key=lambda node: node.name != host)
        assert here.name == host
        return here, there

    def service(self, node: Node):
        """The compute service of a host."""
        return next(one for one in self.compute.services(host=node.name, binary="nova-compute"))

    @contextlib.contextmanager
    def only(self, node: Node) -> Iterator[None]:
        """Have the scheduler choose this host."""
        others = [self.service(other) for other in self.nodes if other != node]
        for service in others:
            self.compute.disable_service(service)
        try:
            yield
        finally:
            for service in others:
                self.compute.enable_service(service)

    def restart(self, node: Node, heard_of: Callable | None = None) -> None:
        """Restart nova-compute, and wait until Nova has heard of it."""
        node.run("systemctl", "restart", UNIT)
        # Read when the old process has ended: its last word would be taken for the new one's.
        before = self.service(node).updated_at
        heard_of = heard_of or self.heard_of
        eventually(lambda: heard_of(node, before), PATIENCE, f"{node.name} up")

    def heard_of(self, node: Node, before: str) -> bool:
        """Whether a host is up and has reported since."""
        service = self.service(node)
        return service.state == "up" and service.updated_at != before

    def found_again(self, node: Node, _before: str) -> bool:
        """Whether Nova takes a lost host for up again: not before it has cleaned up."""
        try:
            self.compute.update_service_forced_down(self.service(node), forced=False)
        except openstack.exceptions.BadRequestException:
            return False
        return self.service(node).state == "up"

    @contextlib.contextmanager
    def lost(self, node: Node) -> Iterator[None]:
        """Have a host's nova-compute stopped, and its service down by force."""
        node.run("systemctl", "stop", UNIT)
        self.compute.update_service_forced_down(self.service(node), forced=True)
        try:
            yield
        finally:
            self.restart(node, self.found_again)

    def assert_lives_on(self, node: Node, server, cached: bool = True) -> None:
        """Fail unless a server's volumes, as its flavor has them, are on one host and not the other.

        :param cached: whether its root disk lies over a cached image
        """
        flavor = self.fresh(server).flavor
        sizes = {"disk": flavor["disk"] * GIB}
        if flavor["ephemeral"]:
            sizes["disk.eph0"] = flavor["ephemeral"] * GIB
        if flavor["swap"]:
            sizes["disk.swap"] = flavor["swap"] * MIB
        found = node.volumes_of(server)
        assert set(found) - {"kernel", "ramdisk", "disk.config"} == set(sizes)
        assert {name: found[name].capacity for name in sizes} == sizes
        backed = {name: volume.backing for name, volume in found.items() if volume.backing}
        assert set(backed) == ({"disk"} if cached else set())
        for backing in backed.values():
            assert backing.rpartition("/")[2] in volumes(BASE_POOL, node.run)
        for other in self.nodes:
            if other != node:
                self.assert_nothing_on(other, server)

    def assert_nothing_on(self, node: Node, server) -> None:
        """Fail unless a host has nothing of a server, or soon has not any more."""
        eventually(lambda: not node.left(server), 60, f"nothing of {server.id} on {node.name}")


@pytest.fixture(scope="session")
def hosts() -> Iterator[Hosts]:
    """The two hosts, in an availability zone of their own."""
    nodes = (Node("polyvisor-molecule-1"), Node("polyvisor-molecule-2"))
    found = Hosts(Cloud(), nodes)
    zone = found.compute.create_aggregate(name=ZONE, availability_zone=ZONE)
    for node in nodes:
        found.compute.add_host_to_aggregate(zone, node.name)
    yield found
    for node in nodes:
        found.compute.remove_host_from_aggregate(zone, node.name)
    found.compute.delete_aggregate(zone)


@pytest.fixture(scope="session")
def flavor(hosts) -> Iterator:
    """Make a flavor: flavor(disk=GiB, ephemeral=GiB, swap=MiB)."""
    made = []

    def make_flavor(**sizes):
        sizes = {"ram": 192, "vcpus": 1, "disk": 1, **sizes}
        made.append(hosts.compute.create_flavor(name=f"moved-{uuid.uuid4().hex[:8]}", **sizes))
        return made[-1]

    yield make_flavor
    for one in made:
        hosts.compute.delete_flavor(one)


@pytest.fixture
def boot(hosts, flavor) -> Iterator:
    """Boot a server for one test: boot(node, disk=GiB, ephemeral=GiB, swap=MiB)."""
    with hosts.booting(flavor) as boot_server:
        yield boot_server


@pytest.fixture
def shared_pool(hosts) -> Iterator[str]:
    """Have both hosts keep disks in the pool that they share."""
    path = "/etc/nova/compute/nova-pools.d/shared.conf"
    text = f"[libvirt_storage]\ndisks_pool = {SHARED_POOL}\n"
    for node in hosts.nodes:
        node.run("sh", "-c", f"umask 022 && printf '%s' '{text}' >{path}")
        hosts.restart(node)
    yield SHARED_POOL
    for node in hosts.nodes:
        node.run("rm", path)
        hosts.restart(node)
