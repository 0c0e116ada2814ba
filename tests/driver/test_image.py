# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""LibvirtStorage, the image backend, on a real pool and with real images."""

import os
import shutil
import subprocess
import unittest
from unittest import mock

import fixtures
from nova import exception, objects, test
from nova.compute import vm_states
from nova.virt.libvirt import config as vconfig
from nova_polyvisor.libvirt.config import VolumeDisk
from nova_polyvisor.libvirt.image import LibvirtStorage, StorageBackend
from nova_polyvisor.libvirt.pool import Pool
from nova_polyvisor.libvirt.storage import cache_directory
from oslo_utils.fixture import uuidsentinel as uuids
from support import DISKS_POOL, StorageFixture
from test_pool import MIB, pattern, qemu_info

#: Where nova's blockinfo puts a root disk.
MAPPING = {"bus": "virtio", "dev": "vda", "type": "disk"}


class ImageTestBase(test.NoDBTestCase):
    def setUp(self):
        super().setUp()
        self.instances_path = self.useFixture(fixtures.TempDir()).path
        self.flags(instances_path=self.instances_path)
        self.pools = self.useFixture(StorageFixture())
        self.storage = self.pools.storage()
        self.storage.prepare()
        self.backend = StorageBackend(self.storage)
        self.instance = objects.Instance(uuid=uuids.instance, id=1)
        self.base = os.path.join(cache_directory(), "template")
        self.fetched = []

    def fetch(self, target, **_options):
        """Stand for the download of a raw image of 1 MiB."""
        self.fetched.append(target)
        with open(target, "wb") as file:
            file.write(pattern(MIB))

    def fetch_qcow2(self, target, **_options):
        """Stand for the download of a qcow2 image of 1 MiB."""
        raw = f"{target}.raw"
        self.fetch(raw)
        command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, target]
        subprocess.run(command, check=True)
        os.unlink(raw)

    def disk(self, name="disk", image_type=None, **options):
        return self.backend.by_name(self.instance, name, image_type, **options)

    def volume_path(self, name="disk"):
        return os.path.join(self.pools.directory, f"{uuids.instance}_{name}")

    def content(self, path):
        raw = os.path.join(self.pools.daemon.directory, "content.raw")
        subprocess.run(["qemu-img", "convert", "-O", "raw", path, raw], check=True)
        with open(raw, "rb") as file:
            return file.read()


class CreateTest(ImageTestBase):
    """Counterparts of nova's cases that look at how files are made."""

    def test_cache_fetches_the_template_into_novas_cache(self):
        shutil.rmtree(cache_directory())
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        self.assertEqual([self.base], self.fetched)
        info = qemu_info(self.volume_path())
        self.assertEqual(self.base, info["backing-filename"])
        self.assertEqual(4 * MIB, info["virtual-size"])

    def test_cache_fetches_a_template_once(self):
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        self.disk("disk.local").cache(self.fetch, "template", size=4 * MIB)
        self.assertEqual([self.base], self.fetched)
        self.assertTrue(os.path.exists(self.volume_path("disk.local")))

    def test_disk_is_a_full_raw_copy_where_libvirt_makes_no_qcow2_volumes(self):
        with mock.patch.object(Pool, "holds", return_value=False):
            self.disk().cache(self.fetch_qcow2, "template", size=4 * MIB)
        info = qemu_info(self.volume_path())
        self.assertEqual(("raw", 4 * MIB), (info["format"], info["virtual-size"]))
        self.assertEqual(pattern(MIB), self.content(self.volume_path())[:MIB])
        self.assertEqual("raw", self.disk().driver_format)

    def test_cache_leaves_a_disk_that_exists_as_it_is(self):
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        with open(self.volume_path(), "rb") as file:
            before = file.read()
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        with open(self.volume_path(), "rb") as file:
            self.assertEqual(before, file.read())

    def test_cache_fetches_again_a_template_that_a_disk_has_lost(self):
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        os.unlink(self.base)
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        self.assertEqual([self.base] * 2, self.fetched)
        self.assertEqual(pattern(MIB), self.content(self.volume_path())[:MIB])

    def test_fetched_template_is_a_volume_of_the_cache_pool(self):
        for cow in (True, False):
            self.flags(use_cow_images=cow)
            self.disk(f"disk.{cow}").cache(self.fetch, f"template-{cow}", size=4 * MIB)
            self.assertIn(f"template-{cow}", self.storage.base_images.names())

    def test_disk_without_a_size_has_the_templates(self):
        self.disk().cache(self.fetch, "template", size=None)
        self.assertEqual(MIB, qemu_info(self.volume_path())["virtual-size"])

    def test_disk_smaller_than_its_template_is_refused_and_not_made(self):
        self.assertRaises(
            exception.FlavorDiskSmallerThanImage,
            self.disk().create_image,
            self.fetch,
            self.base,
            MIB // 2,
        )
        self.assertEqual([], self.storage.disks.names())

    def test_full_copy_is_raw_and_has_no_backing_file(self):
        self.flags(use_cow_images=False)
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        info = qemu_info(self.volume_path())
        self.assertEqual(("raw", 4 * MIB), (info["format"], info["virtual-size"]))
        self.assertEqual(pattern(MIB), self.content(self.volume_path())[:MIB])

    def test_full_copy_of_qcow2_stays_qcow2(self):
        self.flags(use_cow_images=False, force_raw_images=False)
        self.disk().cache(self.fetch_qcow2, "template", size=4 * MIB)
        info = qemu_info(self.volume_path())
        self.assertEqual(("qcow2", 4 * MIB), (info["format"], info["virtual-size"]))
        self.assertNotIn("backing-filename", info)
        self.assertEqual("qcow2", self.disk().driver_format)

    def test_copy_on_write_over_qcow2_says_so(self):
        self.flags(force_raw_images=False)
        self.disk().cache(self.fetch_qcow2, "template", size=4 * MIB)
        self.assertEqual("qcow2", qemu_info(self.volume_path())["backing-filename-format"])

    def test_template_with_a_backing_file_is_refused(self):
        def fetch(target, **_options):
            secret = os.path.join(self.pools.daemon.directory, "secret")
            self.fetch(secret)
            command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, target]
            subprocess.run(command, check=True)

        for cow in (True, False):
            self.flags(use_cow_images=cow)
            self.assertRaises(
                exception.InvalidDiskInfo, self.disk().cache, fetch, "template", size=4 * MIB
            )
            self.flags(disable_deep_image_inspection=cow, group="workarounds")
        self.assertEqual([], self.storage.disks.names())

    def test_preallocated_full_copy_takes_its_space_at_once(self):
        self.flags(use_cow_images=False, preallocate_images="space")
        # Nova keeps on the class whether there is fallocate(1).
        self.addCleanup(delattr, LibvirtStorage, "can_fallocate")
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        self.assertGreaterEqual(os.stat(self.volume_path()).st_blocks * 512, 4 * MIB)

    def test_disk_that_exists_grows_to_a_larger_template(self):
        self.disk().cache(self.fetch, "ephemeral_1", size=4 * MIB, safe=True)
        self.disk().cache(self.fetch, "ephemeral_2", size=8 * MIB, safe=True)
        self.assertEqual(8 * MIB, qemu_info(self.volume_path())["virtual-size"])

    def test_no_disk_lies_over_what_only_this_host_has(self):
        self.disk("disk.local").cache(self.fetch, "ephemeral_1", size=4 * MIB, safe=True)
        self.instance.vm_state = vm_states.SHELVED_OFFLOADED
        self.disk().cache(self.fetch, "shelved", size=4 * MIB)
        for name in ("disk.local", "disk"):
            info = qemu_info(self.volume_path(name))
            self.assertEqual(("qcow2", 4 * MIB), (info["format"], info["virtual-size"]))
            self.assertNotIn("backing-filename", info)
            self.assertEqual(pattern(MIB), self.content(self.volume_path(name))[:MIB])

    def test_kernel_is_copied_byte_by_byte(self):
        self.disk("kernel", "raw").cache(self.fetch, "template", image_id="kernel")
        with open(self.volume_path("kernel"), "rb") as file:
            self.assertEqual(pattern(MIB), file.read())

    def test_kernel_that_claims_to_be_a_disk_image_is_refused(self):
        self.assertRaises(
            exception.InvalidDiskInfo,
            self.disk("kernel", "raw").cache,
            self.fetch_qcow2,
            "template",
            image_id="kernel",
        )
        self.assertEqual([], self.storage.disks.names())

    def test_config_drive_is_moved_into_its_volume(self):
        local = os.path.join(self.pools.daemon.directory, "disk.config")
        for size in (MIB, 2 * MIB):
            with open(local, "wb") as file:
                file.write(pattern(size))
            self.disk("disk.config", "raw").import_file(self.instance, local, "disk.config")
            self.assertFalse(os.path.exists(local))
            with open(self.volume_path("disk.config"), "rb") as file:
                self.assertEqual(pattern(size), file.read())


class FormatTest(ImageTestBase):
    def test_format_outlives_a_change_of_the_option(self):
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        self.flags(use_cow_images=False)
        self.assertEqual("qcow2", self.disk().driver_format)

    def test_guest_cannot_change_the_format_of_its_raw_disk(self):
        self.flags(use_cow_images=False)
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        secret = os.path.join(self.pools.daemon.directory, "secret")
        self.fetch(secret)
        header = os.path.join(self.pools.daemon.directory, "header")
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, header]
        subprocess.run(command, check=True)
        with open(header, "rb") as source, open(self.volume_path(), "r+b") as guest:
            guest.write(source.read())
            guest.seek(0)
            written = guest.read()
        self.storage.disks.refresh()

        disk = self.backend.by_libvirt_path(self.instance, self.volume_path(), "raw")
        self.assertEqual("raw", disk.driver_format)
        target = os.path.join(self.pools.daemon.directory, "snapshot")
        disk.snapshot_extract(target, "raw")
        with open(target, "rb") as file:
            self.assertEqual(written, file.read())

    def test_format_of_a_disk_without_a_record_is_what_libvirt_finds(self):
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        shutil.rmtree(os.path.join(cache_directory(), os.pardir, uuids.instance))
        self.flags(use_cow_images=False)
        self.assertEqual("qcow2", self.disk().driver_format)


class SnapshotTest(ImageTestBase):
    def test_snapshot_of_a_stopped_guest_is_complete_and_leaves_nothing(self):
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        for image_format in ("qcow2", "raw"):
            target = os.path.join(self.pools.daemon.directory, f"snapshot.{image_format}")
            self.disk().snapshot_extract(target, image_format)
            info = qemu_info(target)
            self.assertEqual((image_format, 4 * MIB), (info["format"], info["virtual-size"]))
            self.assertNotIn("backing-filename", info)
            self.assertEqual(pattern(MIB), self.content(target)[:MIB])
        self.assertEqual([f"{uuids.instance}_disk"], self.storage.disks.names())

    def test_snapshot_is_compressed_where_nova_is_told_so(self):
        self.flags(snapshot_compression=True, group="libvirt")
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        target = os.path.join(self.pools.daemon.directory, "snapshot")
        self.disk().snapshot_extract(target, "qcow2")
        self.assertLess(os.path.getsize(target), MIB)
        self.assertEqual(pattern(MIB), self.content(target)[:MIB])


class DomainTest(ImageTestBase):
    def test_disk_element_names_pool_and_volume(self):
        disk = self.disk(disk_info_mapping=MAPPING).libvirt_info("none", {})
        self.assertXmlEqual(
            f"""<disk type="volume" device="disk"><driver name="qemu" type="qcow2" cache="none"/>
            <source pool="{DISKS_POOL}" volume="{uuids.instance}_disk"/>
            <target dev="vda" bus="virtio"/></disk>""",
            disk.to_xml(),
        )

    def test_disk_element_is_read_back(self):
        written = self.disk(disk_info_mapping=MAPPING).libvirt_info("none", {})
        read = VolumeDisk()
        read.parse_str(written.to_xml())
        self.assertEqual(DISKS_POOL, read.source_pool)
        self.assertEqual(f"{uuids.instance}_disk", read.source_volume)
        self.assertIsInstance(read, vconfig.LibvirtConfigGuestDisk)

    def test_name_given_as_a_path_in_the_instances_directory_is_the_disks(self):
        self.assertEqual(f"{uuids.instance}_disk", self.disk("/some/where/disk").volume_name)

    def test_every_image_type_is_a_volume(self):
        for image_type in (None, "default", "raw", "flat", "qcow2"):
            self.assertIs(LibvirtStorage, self.backend.backend(image_type))
            self.assertIsInstance(self.disk("disk", image_type), LibvirtStorage)

    def test_image_in_use_is_touched_by_root_only_where_nova_may_not(self):
        with (
            mock.patch("os.utime", side_effect=PermissionError),
            mock.patch("nova.privsep.path.utime") as as_root,
        ):
            self.disk().cache(self.fetch, "template", size=4 * MIB)
        as_root.assert_called_once_with(self.base)


if __name__ == "__main__":
    unittest.main()
