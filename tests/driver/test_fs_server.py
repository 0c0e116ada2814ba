# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Servers whose disks are in a file system of its own, in a pool of type fs."""

import unittest

import pool_server
import test_live_migration
import test_resize
from device_pools import FsFixture, needs_root
from support import slow


@needs_root
class FsServerTest(pool_server.PoolServerCase):
    """Servers under nova's own API."""

    def make_pools(self):
        return FsFixture()


class TwoFsHosts:
    """Two hosts with a file system each."""

    def make_pools(self, hostname, _shared):
        return FsFixture(hostname)


@slow
@needs_root
class FsMoveTest(TwoFsHosts, test_resize.OwnPoolsTest):
    """Cold migration, resize, revert, evacuation and crashes."""


@slow
@needs_root
class FsLiveMigrationTest(TwoFsHosts, test_live_migration.OwnPoolsTest):
    """Live migration with the disks."""


if __name__ == "__main__":
    unittest.main()
