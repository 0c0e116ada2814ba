# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Nova's own cases for image backends (test_imagebackend) against LibvirtStorage.

All of nova's Qcow2 cases run against volumes of a real pool but those in NOT_FOR_VOLUMES, which
say how a file backend goes about its work. test_image holds their counterparts.
"""

import os
import unittest

import test_image
from nova.tests.unit.virt.libvirt import test_imagebackend
from nova_polyvisor.libvirt.image import Kind, LibvirtStorage
from nova_polyvisor.libvirt.pool import VolumeSpec
from support import StorageFixture

_PATHS = "counts nova's questions for paths; a volume is asked for by its name"

#: Nova's case -> why it says nothing about a volume, and the case in test_image instead.
NOT_FOR_VOLUMES = {
    "test_cache": (_PATHS, "test_cache_fetches_the_template_into_novas_cache"),
    "test_cache_base_dir_exists": (_PATHS, "test_fetched_template_is_a_volume_of_the_cache_pool"),
    "test_cache_image_exists": (_PATHS, "test_cache_leaves_a_disk_that_exists_as_it_is"),
    "test_cache_template_exists": (_PATHS, "test_cache_fetches_a_template_once"),
    "test_create_image": (
        "wants qemu-img called with nova's arguments; libvirt makes the volume",
        "test_disk_without_a_size_has_the_templates",
    ),
    "test_create_image_too_small": (
        "replaces the size of a file that is not there; the template's size is read with its format",
        "test_disk_smaller_than_its_template_is_refused_and_not_made",
    ),
    "test_generate_resized_backing_files": (
        "disks of before 2012 over resized copies in the cache; there are no such volumes",
        "test_cache_fetches_again_a_template_that_a_disk_has_lost",
    ),
    "test_qcow2_exists_and_has_no_backing_file": (
        "the same, for a disk without a backing file",
        "test_cache_leaves_a_disk_that_exists_as_it_is",
    ),
    "test_libvirt_info_with_encryption": (
        "LUKS, which nova's own Qcow2 backend skips too",
        None,
    ),
}


class LibvirtStorageTestCase(test_imagebackend.Qcow2TestCase):
    """Nova's cases; what they call the disk's path is the volume's."""

    def setUp(self):
        pools = self.useFixture(StorageFixture())
        pools.pool.create(0)
        super().setUp()
        self.storage = storage = pools.storage()
        storage.prepare()

        class Volume(LibvirtStorage):
            """The backend as nova's cases make it: without the host's pools."""

            def __init__(self, *arguments, **options):
                super().__init__(storage, *arguments, kind=Kind.COPY_ON_WRITE, **options)

        self.image_class = Volume
        self.PATH = os.path.join(pools.directory, f"{self.INSTANCE.uuid}_{self.NAME}")

    def test_prealloc_image(self):
        self.storage.disks.create(VolumeSpec(os.path.basename(self.PATH), "qcow2", self.SIZE))
        super().test_prealloc_image()

    def test_prealloc_image_without_write_access(self):
        self.storage.disks.create(VolumeSpec(os.path.basename(self.PATH), "qcow2", self.SIZE))
        super().test_prealloc_image_without_write_access()


for _name in NOT_FOR_VOLUMES:
    setattr(LibvirtStorageTestCase, _name, None)


class ExclusionsTest(unittest.TestCase):
    def test_each_case_left_out_is_novas_and_has_its_counterpart(self):
        counterparts = {name for name in dir(test_image.CreateTest) if name.startswith("test_")}
        for name, (_reason, counterpart) in NOT_FOR_VOLUMES.items():
            with self.subTest(name):
                self.assertTrue(hasattr(test_imagebackend.Qcow2TestCase, name))
                if counterpart is not None:
                    self.assertIn(counterpart, counterparts)


if __name__ == "__main__":
    unittest.main()
