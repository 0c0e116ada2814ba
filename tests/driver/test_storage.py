# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""What the driver does with a host's pools at start, and what belongs to an instance."""

import os
import unittest
from unittest import mock

import fixtures
from nova import exception, objects, test
from nova_polyvisor.libvirt.image import StorageBackend
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


class PoolsByKindTest(test.NoDBTestCase):
    def setUp(self):
        super().setUp()
        self.flags(instances_path=self.useFixture(fixtures.TempDir()).path)
        self.flags(pools={"disk": "fast", "disk.eph": "scratch"}, group="libvirt_storage")
        self.fixture = self.useFixture(StorageFixture())
        self.fixture.pool.create(0)
        self.directories = {name: self.fixture.another_pool(name) for name in ("fast", "scratch")}
        self.storage = self.fixture.storage()

    def make(self, pool, *disks):
        for disk in disks:
            Pool(self.fixture.host, pool).create(VolumeSpec(f"{uuids.one}_{disk}", "raw", MIB))

    def test_kinds_of_disks_have_their_pools_and_a_rescue_those_of_its_disks(self):
        found = {
            disk: self.storage.pool_for(disk).name
            for disk in ("disk", "disk.rescue", "disk.eph0", "disk.eph12", "disk.swap", "kernel")
        }
        self.assertEqual(
            {
                "disk": "fast",
                "disk.rescue": "fast",
                "disk.eph0": "scratch",
                "disk.eph12": "scratch",
                "disk.swap": DISKS_POOL,
                "kernel": DISKS_POOL,
            },
            found,
        )

    def test_one_ephemeral_disk_can_have_a_pool_of_its_own(self):
        self.flags(pools={"disk.eph": "scratch", "disk.eph1": "fast"}, group="libvirt_storage")
        storage = self.fixture.storage()
        pools = [storage.pool_for(disk).name for disk in ("disk.eph0", "disk.eph1")]
        self.assertEqual(["scratch", "fast"], pools)

    def test_disk_that_exists_stays_in_its_pool(self):
        self.make(DISKS_POOL, "disk")
        name = f"{uuids.one}_disk"
        self.assertEqual(DISKS_POOL, self.storage.pool_of(name).name)
        self.assertEqual("fast", self.storage.pool_of(f"{uuids.two}_disk").name)
        expected = os.path.join(self.fixture.directory, name)
        self.assertEqual(expected, self.storage.disk_path(uuids.one, "disk"))

    def test_new_disks_are_made_in_their_pools(self):
        backend = StorageBackend(self.storage)
        instance = objects.Instance(uuid=uuids.one)
        self.storage.prepare()

        def fetch(target, **_options):
            with open(target, "wb") as file:
                file.truncate(MIB)

        for name in ("disk", "disk.eph0", "disk.swap"):
            disk = backend.by_name(
                instance, name, disk_info_mapping={"bus": "virtio", "dev": "vda", "type": "disk"}
            )
            disk.cache(fetch, "template", size=2 * MIB, safe=True)
            self.assertEqual(
                self.storage.pool_for(name).name, disk.libvirt_info("none", {}).source_pool
            )
        self.assertEqual([f"{uuids.one}_disk"], os.listdir(self.directories["fast"]))
        self.assertEqual([f"{uuids.one}_disk.eph0"], os.listdir(self.directories["scratch"]))

    def test_volumes_of_an_instance_are_found_and_deleted_in_all_pools(self):
        self.make("fast", "disk")
        self.make("scratch", "disk.eph0")
        self.make(DISKS_POOL, "disk.swap", "disk.rescue")
        self.assertEqual(4, len(self.storage.volumes_of(uuids.one)))
        self.assertEqual(4, len(self.storage.instance_volumes()))
        self.storage.delete(uuids.one, suffix=".rescue")
        self.assertEqual(3, len(self.storage.volumes_of(uuids.one)))
        self.storage.delete(uuids.one)
        self.assertEqual([], self.storage.volumes())

    def test_file_system_of_several_pools_is_counted_once(self):
        size = os.statvfs(self.fixture.directory)
        self.assertEqual(size.f_blocks * size.f_frsize, self.storage.size().capacity)

    def test_file_systems_of_several_pools_are_added_up(self):
        paths = {"fast": "/proc", "scratch": "/dev/vg"}
        with mock.patch.object(Pool, "path", lambda pool: paths.get(pool.name, "/")):
            found = self.storage.size()
        one = Pool(self.fixture.host, "fast").info()
        self.assertEqual(3 * one.capacity, found.capacity)
        self.assertAlmostEqual(3 * one.available, found.available, delta=one.capacity / 10)

    def test_missing_pool_of_a_kind_is_refused_by_name(self):
        self.flags(pools={"disk": "slow"}, group="libvirt_storage")
        error = self.assertRaises(exception.InvalidConfiguration, self.fixture.storage().prepare)
        self.assertIn("no storage pool slow, which [libvirt_storage] pools", str(error))

    def test_unknown_kind_is_refused_by_name(self):
        self.flags(pools={"disc": "fast"}, group="libvirt_storage")
        error = self.assertRaises(exception.InvalidConfiguration, self.fixture.storage().prepare)
        self.assertIn("disc, which is no kind of disk", str(error))

    def test_pool_of_cached_images_holds_no_disks(self):
        self.flags(pools={"disk": BASE_IMAGES_POOL}, group="libvirt_storage")
        error = self.assertRaises(exception.InvalidConfiguration, self.fixture.storage().prepare)
        self.assertIn(BASE_IMAGES_POOL, str(error))

    def test_missing_pools_do_no_harm_while_they_are_not_enabled(self):
        self.flags(enabled=False, pools={"disk": "slow"}, group="libvirt_storage")
        self.fixture.pool.destroy()
        self.fixture.pool.undefine()
        storage = self.fixture.storage()
        storage.prepare()
        storage.delete(uuids.one)
        self.assertEqual([], storage.volumes_of(uuids.one))


if __name__ == "__main__":
    unittest.main()
