# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Nova's own cases for its image cache (test_imagecache) against the driver's cache manager."""

import types
import unittest
from unittest import mock

import fixtures
import nova.conf
import test_cache
from nova.tests.unit.virt.libvirt import test_imagecache
from nova.virt.libvirt import imagecache
from nova_polyvisor.libvirt.cache import StorageCacheManager
from nova_polyvisor.libvirt.storage import Storage

CONF = nova.conf.CONF

_SIZES = "nova adds up the cache by os.listdir; the pool's file system decides what counts"

#: Nova's case -> why it says nothing about pools, and the case in test_cache instead.
NOT_FOR_POOLS = {
    "test_get_disk_usage": (_SIZES, "test_cache_beside_the_disks_takes_their_space"),
    "test_get_disk_usage_empty": (_SIZES, "test_cache_beside_the_disks_takes_their_space"),
}


class StorageCacheManagerTestCase(test_imagecache.ImageCacheManagerTestCase):
    """Nova's cases, with a disks pool that is empty."""

    def setUp(self):
        super().setUp()
        storage = mock.create_autospec(Storage, instance=True)
        disks = mock.Mock(spec=["volumes", "path", "refresh"])
        disks.path.side_effect = lambda: CONF.instances_path
        storage.pools = [disks]
        storage.volumes.return_value = []
        storage.base_images = mock.Mock(spec=["refresh"])

        class Manager(StorageCacheManager):
            """The cache manager as nova's cases make it: without the host's pools."""

            def __init__(self):
                super().__init__(storage)

        # The name that the cases use; nova's module must keep its own class.
        names = {**vars(imagecache), "ImageCacheManager": Manager}
        self.useFixture(
            fixtures.MonkeyPatch(
                f"{test_imagecache.__name__}.imagecache", types.SimpleNamespace(**names)
            )
        )


for _name in NOT_FOR_POOLS:
    setattr(StorageCacheManagerTestCase, _name, None)


class ExclusionsTest(unittest.TestCase):
    def test_each_case_left_out_is_novas_and_has_its_counterpart(self):
        for name, (_reason, counterpart) in NOT_FOR_POOLS.items():
            with self.subTest(name):
                self.assertTrue(hasattr(test_imagecache.ImageCacheManagerTestCase, name))
                self.assertTrue(hasattr(test_cache.CacheTest, counterpart))


if __name__ == "__main__":
    unittest.main()
