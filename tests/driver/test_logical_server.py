# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Servers whose disks are logical volumes of LVM, in a pool of type logical."""

import os
import unittest

import pool_server
import test_live_migration
import test_resize
from device_pools import LogicalFixture, needs_device_mapper
from oslo_utils.fixture import uuidsentinel as uuids
from test_pool import MIB, pattern

#: Size in MiB of the smallest logical volume.
EXTENT = 4


@needs_device_mapper
class LogicalServerTest(pool_server.PoolServerCase):
    """Servers under nova's own API."""

    clones = False
    config_drive_size = EXTENT

    def make_pools(self):
        return LogicalFixture()


class TwoLogicalHosts:
    """Two hosts with a volume group each."""

    def make_pools(self, hostname, _shared):
        return LogicalFixture(hostname)

    def assert_lives_on(self, host, disks):
        """Fail unless the instance runs on a host from logical volumes of these sizes in MiB."""
        domain = host.domain()
        self.assertTrue(domain is not None and domain.isActive())
        self.assertEqual({**disks, "disk.config": EXTENT}, host.disks())
        for name in host.disks():
            path = os.path.join(host.pools.directory, f"{uuids.instance}_{name}")
            self.assertTrue(os.path.realpath(path).startswith("/dev/dm-"))
        self.assertEqual(pattern(MIB), host.pools.content(f"{uuids.instance}_disk")[:MIB])


@needs_device_mapper
class LogicalMoveTest(TwoLogicalHosts, test_resize.MoveCase):
    def test_cold_migration_and_back_and_resize_for_good(self):
        self.assert_lives_on(self.here, {"disk": 1024})
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
        self.assert_nothing_on(self.here)


@needs_device_mapper
class LogicalLiveMigrationTest(TwoLogicalHosts, test_live_migration.LiveCase):
    def test_there_and_back(self):
        self.here.domain().destroy()
        self.write(self.here)
        self.here.domain().create()
        self.assertTrue(self.migrate().block_migration)
        self.assert_nothing_on(self.here)
        self.assert_lives_on(self.there, {"disk": 1024})
        self.assert_written(self.there)
        self.migrate(self.there, self.here)
        self.assert_nothing_on(self.there)
        self.assert_lives_on(self.here, {"disk": 1024})
        self.assert_written(self.here)


if __name__ == "__main__":
    unittest.main()
