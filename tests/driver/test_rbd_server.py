# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Servers whose disks are in a real Ceph cluster of the tests' own, on one host and on two."""

import subprocess
import unittest
from unittest import mock
from xml.etree import ElementTree

import libvirt
import pool_server
import test_live_migration
import test_resize
from hosts import TwoHostsCase
from nova import exception
from nova_polyvisor.libvirt.rbd import RbdPool
from oslo_utils.fixture import uuidsentinel as uuids
from private_ceph import CAPACITY, needs_ceph
from support import DISKS_POOL, RbdFixture, slow
from test_pool import MIB, pattern


@needs_ceph
class RbdServerTest(pool_server.PoolServerCase):
    """Servers under nova's own API whose disks are in Ceph."""

    def make_pools(self):
        return RbdFixture()

    def sources(self, server):
        domain = ElementTree.fromstring(self.domain(server).XMLDesc())
        return {
            (
                disk.get("type"),
                disk.find("source").get("protocol"),
                disk.find("auth").get("username"),
            )
            for disk in domain.findall("devices/disk")
        }

    def wanted_sources(self):
        return {("network", "rbd", self.pools.in_ceph)}

    def test_disk_space_is_the_clusters(self):
        (provider,) = self._get_all_providers()
        inventory = self._get_provider_inventory(provider["uuid"])
        self.assertEqual(CAPACITY >> 30, inventory["DISK_GB"]["total"])


class TwoRbdHosts(TwoHostsCase):
    """Two hosts with the same pool in Ceph, whose secrets have other UUIDs."""

    pool_class = RbdPool
    in_ceph = None

    def make_pools(self, hostname, _shared):
        pools = RbdFixture(hostname, self.in_ceph)
        self.in_ceph = pools.in_ceph
        return pools

    def qemu_io(self, host, disk, command):
        ceph = host.pools.ceph
        image = f"rbd:{self.in_ceph}/{uuids.instance}_{disk}:id=admin:conf={ceph.configuration}"
        done = subprocess.run(
            ["qemu-io", "-f", "raw", "-c", command, image],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        return done.stdout

    def write(self, host, disk="disk"):
        self.qemu_io(host, disk, "write -P 42 2M 1M")

    def assert_written(self, host, disk="disk"):
        said = self.qemu_io(host, disk, "read -P 42 2M 1M")
        self.assertNotIn("Pattern verification failed", said)

    def assert_lives_on(self, host, disks):
        domain = host.domain()
        self.assertTrue(domain is not None and domain.isActive())
        defined = ElementTree.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        sources = {source.get("protocol") for source in defined.findall("devices/disk/source")}
        self.assertEqual({"rbd"}, sources)
        self.assertEqual({**disks, "disk.config": 0}, host.disks())
        root = host.pools.content(f"{uuids.instance}_disk")
        self.assertEqual(pattern(MIB), root[:MIB])


@needs_ceph
class RbdMoveTest(TwoRbdHosts, test_resize.SharedPoolTest):
    """Cold migration, resize, revert, evacuation and crashes, as with any shared pool."""


@needs_ceph
class RbdLiveMigrationTest(TwoRbdHosts, test_live_migration.SharedPoolTest):
    """Live migration, as with any shared pool."""

    disk_format = "raw"

    def setUp(self):
        # Libvirt knows that it is safe here.
        with mock.patch("libvirt.VIR_MIGRATE_UNSAFE", 0):
            super().setUp()


class TwoClusters(TwoRbdHosts):
    """Two hosts whose pools of the same name are different ones in Ceph."""

    def make_pools(self, hostname, _shared):
        return RbdFixture(hostname)

    def qemu_io(self, host, disk, command):
        self.in_ceph = host.pools.in_ceph
        return super().qemu_io(host, disk, command)


@slow
@needs_ceph
class OtherClusterMoveTest(TwoClusters, test_resize.MoveCase):
    def test_cold_migration_and_back_and_for_good(self):
        self.here.domain().destroy()
        self.write(self.here)
        self.leave()
        self.arrive()
        self.assert_lives_on(self.there, {"disk": 1024})
        self.assert_written(self.there)
        self.revert()
        self.assert_lives_on(self.here, {"disk": 1024})
        self.assertEqual({}, self.there.disks())
        self.leave(root_gb=2)
        self.arrive()
        self.confirm()
        self.assert_lives_on(self.there, {"disk": 2048})
        self.assert_written(self.there)
        self.assertEqual({}, self.here.disks())


@slow
@needs_ceph
class OtherClusterLiveTest(TwoClusters, test_live_migration.LiveCase):
    def test_running_guest_stays(self):
        error = self.assertRaises(
            exception.MigrationPreCheckError, self.check, self.here, self.there
        )
        self.assertIn("migrate it cold", str(error))
        with self.there:
            arrivals = self.there.driver._arrivals
            disk = {"pool": DISKS_POOL, "volume": f"{uuids.instance}_disk"}
            self.assertRaises(
                exception.MigrationPreCheckError, arrivals.expect, self.instance, [disk]
            )
        self.assert_lives_on(self.here, {"disk": 1024})


if __name__ == "__main__":
    unittest.main()
