# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Servers whose disks are in a real Ceph cluster of the tests' own, on one host and on two."""

import os
import shutil
import subprocess
import unittest
from unittest import mock
from xml.etree import ElementTree

import libvirt
import test_live_migration
import test_resize
from hosts import TwoHostsCase
from nova import exception
from nova.tests import fixtures as nova_fixtures
from nova_polyvisor.libvirt.pool import Pool
from nova_polyvisor.libvirt.rbd import RbdPool
from oslo_utils.fixture import uuidsentinel as uuids
from private_ceph import CAPACITY, needs_ceph
from support import DISKS_POOL, RbdFixture, slow
from test_driver import ServerBase
from test_pool import MIB, pattern


@needs_ceph
class RbdServerTest(ServerBase):
    """Servers under nova's own API whose disks are in Ceph."""

    def make_pools(self):
        return RbdFixture()

    def _setup_services(self):
        super()._setup_services()
        self.flags(allow_resize_to_same_host=True)

    def disks(self, server):
        """Return the sizes of a server's disks in MiB, and which of them are clones."""
        pool = Pool(self.pools.host, DISKS_POOL)
        names = pool.names(f"{server['id']}_")
        return {
            name.partition("_")[2]: (
                pool.volume(name).capacity // MIB,
                self.pools.parent(name) is not None,
            )
            for name in names
        }

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

    def test_life_of_a_server(self):
        small = self._create_flavor(memory_mb=64, vcpu=1, disk=1, ephemeral=1, swap=64)
        wanted = {**self._build_server(networks="none", flavor_id=small), "config_drive": True}
        server = self._wait_for_state_change(self.api.post_server({"server": wanted}), "ACTIVE")
        disks = {"disk": (1024, True), "disk.eph0": (1024, False), "disk.swap": (64, False)}
        config = {"disk.config": (0, False)}
        self.assertEqual({**disks, **config}, self.disks(server))
        self.assertEqual({("network", "rbd", self.pools.in_ceph)}, self.sources(server))
        root = f"{server['id']}_disk"
        self.assertEqual(pattern(MIB), self.pools.content(root)[:MIB])

        self._stop_server(server)
        self._start_server(server)
        self._reboot_server(server, hard=True)
        self.assertTrue(self.domain(server).isActive())
        self.assertEqual({**disks, **config}, self.disks(server))

        self.api.post_server_action(server["id"], {"rescue": {}})
        self._wait_for_state_change(server, "RESCUE")
        self.assertIn("disk.rescue", self.disks(server))
        self.api.post_server_action(server["id"], {"unrescue": None})
        self._wait_for_state_change(server, "ACTIVE")
        self.assertEqual({**disks, **config}, self.disks(server))

        self._delete_server(server)
        self.assertEqual({}, self.disks(server))
        self.assertEqual([], self.pools.host.get_connection().listAllDomains())

    def test_resize(self):
        server = self.boot(disk=1, ephemeral=1, swap=64)
        before = self.disks(server)
        large = self._create_flavor(memory_mb=96, vcpu=1, disk=2, ephemeral=1, swap=32)
        for finish in (self._revert_resize, self._confirm_resize):
            self._resize_server(server, large)
            self.assertTrue(self.domain(server).isActive())
            self.assertEqual(2048, self.disks(server)["disk"][0])
            self.assertEqual(1024, self.disks(server)["disk.before"][0])
            finish(server)
            self.assertTrue(self.domain(server).isActive())
            reverted = finish == self._revert_resize
            found = {disk: size for disk, (size, _clone) in self.disks(server).items()}
            self.assertEqual(
                {disk: size for disk, (size, _clone) in before.items()}
                if reverted
                else {"disk": 2048, "disk.eph0": 1024, "disk.swap": 32},
                found,
            )
            root = self.pools.content(f"{server['id']}_disk")
            self.assertEqual(pattern(MIB), root[:MIB])
        self._delete_server(server)
        self.assertEqual({}, self.disks(server))

    def snapshot(self, server):
        """Snapshot a server; returns what Glance gets."""
        taken = []

        def take(_image_api, _context, _image_id, _metadata, file, **_options):
            path = os.path.join(self.pools.daemon.directory, "taken")
            with open(path, "wb") as copy:
                shutil.copyfileobj(file, copy)
            raw = f"{path}.raw"
            subprocess.run(["qemu-img", "convert", "-O", "raw", path, raw], check=True)
            with open(raw, "rb") as content:
                taken.append((os.path.getsize(raw), content.read(MIB)))

        with mock.patch("nova.image.glance.API.update", take):
            self.api.post_server_action(server["id"], {"createImage": {"name": "one"}})
            self.notifier.wait_for_versioned_notifications("instance.snapshot.end", timeout=120)
        return taken

    def test_snapshots(self):
        self.useFixture(nova_fixtures.PrivsepFixture())
        server = self.boot(disk=1)
        for stop in (False, True):
            if stop:
                self._stop_server(server)
            self.notifier.reset()
            self.assertEqual([(1024 * MIB, pattern(MIB))], self.snapshot(server))

    def test_legacy_server_moves_into_ceph(self):
        self.useFixture(nova_fixtures.PrivsepFixture())
        self.flags(enabled=False, group="libvirt_storage")
        wanted = {**self._build_server(networks="none"), "config_drive": True}
        server = self._wait_for_state_change(self.api.post_server({"server": wanted}), "ACTIVE")
        self.assertEqual({}, self.disks(server))
        self.flags(enabled=True, group="libvirt_storage")
        self._reboot_server(server, hard=True)
        self.assertEqual({"disk", "disk.config"}, set(self.disks(server)))
        self.assertEqual({("network", "rbd", self.pools.in_ceph)}, self.sources(server))
        root = self.pools.content(f"{server['id']}_disk")
        self.assertEqual(pattern(MIB), root[:MIB])
        self._reboot_server(server, hard=True)
        self._delete_server(server)
        self.assertEqual({}, self.disks(server))

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
