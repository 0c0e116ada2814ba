# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Pools that are missing, inactive, full or read-only, under nova's API and between two hosts."""

import os
import unittest

import libvirt
import nova.conf
import test_driver
from nova import exception
from nova_polyvisor.libvirt.pool import PoolError
from oslo_utils.fixture import uuidsentinel as uuids
from support import DISKS_POOL
from test_live_migration import LiveCase
from test_pool import MIB
from test_resize import GIB, MoveCase

CONF = nova.conf.CONF

needs_root = unittest.skipUnless(os.geteuid() == 0, "only root can mount a file system")


class BrokenPoolTest(test_driver.ServerTest):
    """One compute: nova looks for another host, and says that there is none."""

    def wanted(self):
        return {**self._build_server(networks="none"), "config_drive": True}

    def refused(self, reason):
        """Try to boot a server, which would go to another host if there were one."""
        server = self.api.post_server({"server": self.wanted()})
        server = self._wait_for_state_change(server, "ERROR")
        self.assertIn("Exhausted all hosts", server["fault"]["message"])
        self.assertRegex(self.stdlog.logger.output, f"Error from last host.*{reason}")

    def assert_nothing_left(self):
        self.assertEqual([], self.volumes())
        self.assertEqual([], self.pools.host.get_connection().listAllDomains())
        left = [name for name in os.listdir(CONF.instances_path) if "-" in name]
        self.assertEqual([], left)

    def make_small(self, size):
        """Let the pool lie on a file system of a size in KiB."""
        self.pools.daemon.mount(self.pools.directory, size)
        self.pools.pool.refresh(0)
        self.keep_size()

    def keep_size(self):
        """Let nova look for space no more: Placement has none of less than 1 GiB."""
        gib = {"total": 9, "free": 9, "used": 0}
        self.stub_out(
            "nova_polyvisor.libvirt.driver.StoragePoolDriver._get_local_gb_info", lambda _self: gib
        )

    def test_inactive_pool(self):
        self.pools.pool.destroy()
        self.refused("is not active")
        self.keep_size()
        self.refused("is not active")
        self.pools.pool.create(0)
        self.assert_nothing_left()

    def test_missing_pool(self):
        self.pools.pool.destroy()
        definition = self.pools.pool.XMLDesc()
        self.pools.pool.undefine()
        self.refused(f"Libvirt has no storage pool {DISKS_POOL}")
        self.keep_size()
        self.refused(f"Libvirt has no storage pool {DISKS_POOL}")
        self.pools.pool = self.pools.host.get_connection().storagePoolCreateXML(definition)
        self.assert_nothing_left()

    @needs_root
    def test_pool_that_is_full_at_the_first_disk_or_the_second(self):
        for size in (64, 300):
            self.make_small(size)
            self.refused("No space left on device")
            self.assert_nothing_left()

    @needs_root
    def test_read_only_pool(self):
        self.make_small(4096)
        self.pools.daemon.fill(self.pools.directory, read_only=True)
        self.refused("Read-only file system")
        self.assert_nothing_left()

    @needs_root
    def test_server_outlives_a_resize_for_which_the_pool_has_no_space(self):
        self.flags(allow_resize_to_same_host=True)
        self.make_small(4096)
        server = self.boot(disk=1, ephemeral=0, swap=0)
        self.pools.daemon.fill(self.pools.directory)
        large = self._create_flavor(memory_mb=96, vcpu=1, disk=2, ephemeral=0, swap=0)
        self.api.post_server_action(server["id"], {"resize": {"flavorRef": large}})
        server = self._wait_for_server_parameter(
            server, {"OS-EXT-STS:task_state": None, "status": "ACTIVE"}
        )
        self.assertTrue(self.domain(server).isActive())
        self.pools.pool.refresh(0)
        self.assertEqual([f"{server['id']}_disk", "filler"], self.volumes())

    def test_server_is_deleted_when_its_pool_is_there_again(self):
        server = self._wait_for_state_change(
            self.api.post_server({"server": self.wanted()}), "ACTIVE"
        )
        self.keep_size()
        self.pools.pool.destroy()
        self.api.delete_server(server["id"])
        server = self._wait_for_state_change(server, "ERROR")
        self.assertIn(DISKS_POOL, server["fault"]["message"])
        self.pools.pool.create(0)
        self.assertEqual(2, len(self.volumes()))
        self._delete_server(server)
        self.assert_nothing_left()


# What test_driver tests is tested there.
for _name in dir(test_driver.ServerTest):
    if _name.startswith("test_"):
        setattr(BrokenPoolTest, _name, None)


class ColdMoveTest(MoveCase):
    """The other host's pool does not take the volumes."""

    def refused(self):
        refused = self.assertRaises(exception.InstanceFaultRollback, self.leave, root_gb=2)
        self.assertIn(DISKS_POOL, str(refused.inner_exception))
        self.assert_lives_on(self.here, {"disk": GIB})

    def make_small(self):
        self.there.pools.daemon.mount(self.there.pools.directory, 4096)
        self.there.pool()

    def test_full_pool(self):
        self.make_small()
        self.there.pools.daemon.fill(self.there.pools.directory)
        self.refused()
        self.assertEqual({}, self.there.disks())

    def test_read_only_pool(self):
        self.make_small()
        self.there.pools.daemon.fill(self.there.pools.directory, read_only=True)
        self.refused()

    def test_inactive_pool(self):
        self.there.pools.pool.destroy()
        self.refused()

    def test_missing_pool(self):
        self.there.pools.pool.destroy()
        self.there.pools.pool.undefine()
        self.refused()


class LiveMoveTest(LiveCase):
    """The other host's pool does not take the volumes."""

    def make_small(self, size):
        self.there.pools.daemon.mount(self.there.pools.directory, size)
        self.there.pool()

    def assert_stays(self):
        self.assert_lives_on(self.here, {"disk": GIB})
        self.assertIsNone(self.there.domain())
        left = [name for name in os.listdir(self.there.directory) if uuids.instance in name]
        self.assertEqual([], left)

    def test_pool_that_is_read_only_inactive_or_missing_is_refused_first(self):
        self.make_small(4096)
        self.there.pools.daemon.fill(self.there.pools.directory, read_only=True)
        pool = self.there.pools.pool
        for step in (lambda: None, pool.destroy, pool.undefine):
            step()
            self.assertRaises(exception.MigrationPreCheckError, self.check, self.here, self.there)
            self.assert_stays()

    def test_pool_that_is_full_when_the_volumes_are_made(self):
        self.make_small(4096)
        self.there.pools.daemon.fill(self.there.pools.directory)
        data = self.check(self.here, self.there)
        self.stub_out(f"{__name__}.LiveCase.check", lambda *_arguments: data)
        self.assertRaises(PoolError, self.prepare, self.here, self.there)
        self.roll_back(self.there, data)
        self.assert_stays()
        self.assertEqual({}, self.there.disks())

    def test_pool_that_becomes_full_while_the_guest_moves(self):
        self.here.domain().destroy()
        self.write(self.here)
        self.here.domain().create()
        self.make_small(MIB // 1024)
        data = self.prepare(self.here, self.there)
        self.assertEqual({"disk": GIB}, self.there.disks())
        error = self.assertRaises(libvirt.libvirtError, self.migrate_only, data)
        self.assertIn("No space left", str(error))
        self.roll_back(self.there, data)
        self.assert_stays()
        self.assertEqual({}, self.there.disks())
        self.assert_written(self.here)


if __name__ == "__main__":
    unittest.main()
