# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""What the driver does with a host's pools at start, and what belongs to an instance."""

import os
import unittest

import fixtures
from nova import exception, test
from nova_polyvisor.libvirt.pool import Pool, VolumeSpec
from nova_polyvisor.libvirt.storage import cache_directory
from oslo_utils.fixture import uuidsentinel as uuids
from support import BASE_IMAGES_POOL, DISKS_POOL, StorageFixture

MIB = 1024**2


class PrepareTest(test.NoDBTestCase):
    def setUp(self):
        super().setUp()
        self.flags(instances_path=self.useFixture(fixtures.TempDir()).path)
        self.fixture = self.useFixture(StorageFixture())
        self.storage = self.fixture.storage()

    def test_pool_of_cached_images_is_defined_over_novas_cache(self):
        self.storage.prepare()
        pool = self.fixture.host.get_connection().storagePoolLookupByName(BASE_IMAGES_POOL)
        self.assertTrue(pool.isActive() and pool.isPersistent() and pool.autostart())
        self.assertEqual(cache_directory(), self.storage.base_images.path())

    def test_inactive_pools_are_started_and_twice_changes_nothing(self):
        self.storage.prepare()
        self.fixture.pool.destroy()
        self.storage.prepare()
        self.storage.prepare()
        self.assertTrue(self.fixture.pool.isActive())

    def test_missing_disks_pool_is_refused_by_name(self):
        self.fixture.pool.undefine()
        error = self.assertRaises(exception.InvalidConfiguration, self.storage.prepare)
        self.assertIn(f"no storage pool {DISKS_POOL}", str(error))
        self.assertIn("virsh pool-define-as", str(error))
        self.assertFalse(self.storage.base_images.exists())

    def test_pool_of_cached_images_over_another_directory_is_refused_by_name(self):
        Pool(self.fixture.host, BASE_IMAGES_POOL).define(self.fixture.daemon.directory)
        error = self.assertRaises(exception.InvalidConfiguration, self.storage.prepare)
        self.assertIn(BASE_IMAGES_POOL, str(error))
        self.assertIn(self.fixture.daemon.directory, str(error))

    def test_one_pool_for_both_is_refused(self):
        self.flags(base_images_pool=DISKS_POOL, group="libvirt_storage")
        error = self.assertRaises(exception.InvalidConfiguration, self.fixture.storage().prepare)
        self.assertIn(DISKS_POOL, str(error))


class InstanceVolumesTest(test.NoDBTestCase):
    def setUp(self):
        super().setUp()
        self.fixture = self.useFixture(StorageFixture())
        self.fixture.pool.create(0)
        self.storage = self.fixture.storage()
        for name in (
            f"{uuids.one}_disk",
            f"{uuids.one}_disk.rescue",
            f"{uuids.one}_kernel",
            f"{uuids.two}_disk",
            "golden-image",
        ):
            self.storage.disks.create(VolumeSpec(name, "raw", MIB))

    def test_deleting_an_instances_volumes_leaves_all_others(self):
        self.storage.delete(uuids.one)
        left = ["golden-image", f"{uuids.two}_disk"]
        self.assertEqual(sorted(left), self.storage.disks.names())
        self.assertEqual(sorted(left), sorted(os.listdir(self.fixture.directory)))

    def test_deleting_by_ending_leaves_the_instances_other_volumes(self):
        self.storage.delete(uuids.one, suffix=".rescue")
        self.assertEqual(
            [f"{uuids.one}_disk", f"{uuids.one}_kernel"], self.storage.disks.names(uuids.one)
        )

    def test_volumes_of_no_instance_are_not_counted(self):
        names = [volume.name for volume in self.storage.instance_volumes()]
        self.assertEqual(4, len(names))
        self.assertNotIn("golden-image", names)


if __name__ == "__main__":
    unittest.main()
