# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""The image cache over real pools: what a volume lies over is never removed."""

import contextlib
import hashlib
import os
import subprocess
import unittest
from unittest import mock

from nova import context, objects
from nova_polyvisor.libvirt.cache import StorageCacheManager
from nova_polyvisor.libvirt.image import StorageBackend
from nova_polyvisor.libvirt.pool import Backing, VolumeSpec
from nova_polyvisor.libvirt.storage import cache_directory
from oslo_utils.fixture import uuidsentinel as uuids
from test_image import ImageTestBase
from test_pool import MIB

#: A date on which any image is old enough to go.
LONG_AGO = 1_000_000_000


class CacheTest(ImageTestBase):
    def setUp(self):
        super().setUp()
        self.manager = StorageCacheManager(self.storage)
        self.stub_out("nova.privsep.path.utime", lambda path: None)

    def cached(self, image):
        """Put an old image into the cache."""
        name = hashlib.sha1(image.encode()).hexdigest()
        path = os.path.join(cache_directory(), name)
        self.fetch(path)
        os.utime(path, (LONG_AGO, LONG_AGO))
        return name, path

    def update(self, instances=frozenset()):
        """Let the cache manager work for a host with some instances, whose images are gone."""
        for name in os.listdir(cache_directory()):
            os.utime(os.path.join(cache_directory(), name), (LONG_AGO, LONG_AGO))
        nothing = {
            "used_images": {},
            "instance_names": set(instances),
            "used_swap_images": set(),
            "used_ephemeral_images": set(),
        }
        with mock.patch.object(self.manager, "_list_running_instances", return_value=nothing):
            self.manager.update(context.get_admin_context(), objects.InstanceList(objects=[]))

    def test_image_that_no_volume_uses_is_removed_from_cache_and_pool(self):
        name, path = self.cached("unused")
        self.storage.base_images.refresh()
        self.assertIn(name, self.storage.base_images.names())
        self.update()
        self.assertFalse(os.path.exists(path))
        self.assertNotIn(name, self.storage.base_images.names())

    def test_image_that_a_volume_lies_over_stays(self):
        name, path = self.cached("used")
        self.disk().cache(self.fetch, name, size=4 * MIB)
        self.update()
        self.assertTrue(os.path.exists(path))

    def test_swap_and_ephemeral_templates_that_a_volume_lies_over_stay(self):
        for name in ("swap_64", "ephemeral_1_40d1d2c"):
            path = os.path.join(cache_directory(), name)
            self.fetch(path)
            over = VolumeSpec(f"{uuids.instance}_{name}", "qcow2", 4 * MIB, Backing(path, "raw"))
            self.storage.disks.create(over)
        self.fetch(os.path.join(cache_directory(), "swap_128"))
        self.update()
        left = os.listdir(cache_directory())
        self.assertEqual(["ephemeral_1_40d1d2c", "swap_64"], sorted(left))

    def test_nothing_is_removed_while_the_pool_of_the_disks_is_inactive(self):
        name, path = self.cached("used")
        self.disk().cache(self.fetch, name, size=4 * MIB)
        self.pools.pool.destroy()
        self.update()
        self.assertTrue(os.path.exists(path))

    def test_image_that_another_host_uses_in_a_shared_pool_stays(self):
        _name, path = self.cached("used")
        # Another host's libvirt has made it, and this one has not looked since.
        self.overlay(path, os.path.join(self.pools.directory, f"{uuids.elsewhere}_disk"))
        self.assertEqual([], self.storage.disks.names())
        self.update()
        self.assertTrue(os.path.exists(path))

    def test_nothing_is_removed_while_a_pool_cannot_be_read_anew(self):
        _name, path = self.cached("unused")
        with mock.patch.object(self.storage.disks, "_refreshed", return_value=False):
            self.update()
        self.assertTrue(os.path.exists(path))
        self.update()
        self.assertFalse(os.path.exists(path))

    def test_image_that_a_volume_of_any_pool_of_disks_lies_over_stays(self):
        self.flags(pools={"disk": "fast"}, group="libvirt_storage")
        self.pools.another_pool("fast")
        self.storage = self.pools.storage()
        self.backend = StorageBackend(self.storage)
        self.manager = StorageCacheManager(self.storage)
        name, path = self.cached("used")
        self.disk().cache(self.fetch, name, size=4 * MIB)
        self.assertEqual([], os.listdir(self.pools.directory))
        self.update()
        self.assertTrue(os.path.exists(path))

    def test_image_that_is_not_old_enough_stays(self):
        _name, path = self.cached("unused")
        self.flags(remove_unused_original_minimum_age_seconds=2**40, group="image_cache")
        self.update()
        self.assertTrue(os.path.exists(path))

    def legacy_instance(self, path):
        """Give an instance a disk as nova's own image backend makes it."""
        directory = os.path.join(self.instances_path, uuids.legacy)
        os.makedirs(directory)
        self.overlay(path, os.path.join(directory, "disk"))

    def overlay(self, backing, path):
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", "raw", path]
        subprocess.run(command, check=True)

    def test_image_that_a_legacy_instance_uses_stays_while_such_are_served(self):
        _name, path = self.cached("used")
        self.legacy_instance(path)
        self.update({uuids.legacy})
        self.assertTrue(os.path.exists(path))
        self.flags(transition=False, group="libvirt_storage")
        self.update({uuids.legacy})
        self.assertFalse(os.path.exists(path))

    def test_no_process_is_started(self):
        used = [self.cached(f"used {number}") for number in range(3)]
        for number, (name, _path) in enumerate(used):
            self.disk(f"disk.eph{number}").cache(self.fetch, name, size=4 * MIB)
        unused = self.cached("unused")[1]
        with contextlib.ExitStack() as guards:
            starts = [
                guards.enter_context(mock.patch(name))
                for name in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.system")
            ]
            self.update({self.instance.uuid})
        for start in starts:
            start.assert_not_called()
        self.assertFalse(os.path.exists(unused))
        self.assertTrue(all(os.path.exists(path) for _name, path in used))

    def test_cache_beside_the_disks_takes_their_space(self):
        self.assertEqual(0, self.manager.get_disk_usage())
        _name, path = self.cached("any")
        self.assertEqual(os.stat(path).st_blocks * 512, self.manager.get_disk_usage())

    def test_cache_on_another_file_system_takes_none_of_the_disks_space(self):
        self.cached("any")
        with mock.patch.object(self.storage.disks, "path", return_value="/proc"):
            self.assertEqual(0, self.manager.get_disk_usage())


if __name__ == "__main__":
    unittest.main()
