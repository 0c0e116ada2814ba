# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""The image cache over real pools: what a volume lies over is never removed."""

import hashlib
import os
import unittest
from unittest import mock

from nova import context, objects
from nova_polyvisor.libvirt.cache import StorageCacheManager
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

    def update(self):
        """Let the cache manager work for a host that has no instance known to nova."""
        for name in os.listdir(cache_directory()):
            os.utime(os.path.join(cache_directory(), name), (LONG_AGO, LONG_AGO))
        nothing = {
            "used_images": {},
            "instance_names": set(),
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
