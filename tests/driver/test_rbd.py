# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""A pool of type rbd, over a real Ceph cluster of the tests' own, and the disks in it."""

import os
import subprocess
import unittest
from unittest import mock

import fixtures
from nova import exception, objects, test
from nova.virt.libvirt import utils as libvirt_utils
from nova_polyvisor.libvirt import snapshot
from nova_polyvisor.libvirt.cache import StorageCacheManager
from nova_polyvisor.libvirt.guest import VolumeGuest
from nova_polyvisor.libvirt.image import RbdStorage, StorageBackend
from nova_polyvisor.libvirt.legacy import Home, LegacyInstances
from nova_polyvisor.libvirt.pool import Pool, PoolError, VolumeSpec
from nova_polyvisor.libvirt.rbd import RbdPool
from nova_polyvisor.libvirt.storage import Storage, cache_directory, open_pool
from oslo_utils.fixture import uuidsentinel as uuids
from private_ceph import CAPACITY, needs_ceph
from support import DISKS_POOL, RbdFixture, slow
from test_guest import DOMAIN
from test_image import MAPPING
from test_pool import MIB, pattern, qemu_info

DISK = f"{uuids.instance}_disk"


@needs_ceph
class CephCase(test.NoDBTestCase):
    """A disks pool in Ceph."""

    REQUIRES_LOCKING = True

    def setUp(self):
        super().setUp()
        self.flags(instances_path=self.useFixture(fixtures.TempDir()).path, host="host-a")
        self.pools = self.useFixture(RbdFixture())
        self.ceph = self.pools.ceph
        self.storage = self.pools.storage()
        self.storage.prepare()
        self.pool = self.storage.disks
        self.scratch = self.useFixture(fixtures.TempDir()).path

    def file(self, name, content):
        path = os.path.join(self.scratch, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def directory_pool(self, name="files"):
        self.pools.another_pool(name)
        return Pool(self.pools.host, name)


class PoolTest(CephCase):
    def test_pool_is_known_by_its_type(self):
        self.assertIsInstance(self.pool, RbdPool)
        self.assertIsInstance(open_pool(self.pools.host, DISKS_POOL), RbdPool)
        self.directory_pool()
        self.assertIs(Pool, type(open_pool(self.pools.host, "files")))
        self.assertIs(Pool, type(open_pool(self.pools.host, "missing")))

    def test_formats_are_what_libvirt_says(self):
        self.assertFalse(self.pool.holds("qcow2"))
        self.assertTrue(self.directory_pool().holds("qcow2"))

    def test_file_is_uploaded_and_downloaded_with_its_holes(self):
        path = self.file("content", pattern(MIB))
        os.truncate(path, 64 * MIB)
        self.pool.upload("v", path)
        self.assertEqual(64 * MIB, self.pool.volume("v").capacity)
        self.assertEqual(pattern(MIB) + bytes(63 * MIB), self.pools.content("v"))
        used = self.ceph.rbd("du", "--format=json", f"{self.pools.in_ceph}/v")
        self.assertIn(f'"used_size":{4 * MIB}', used)
        back = os.path.join(self.scratch, "back")
        self.pool.download("v", back)
        self.assertEqual(64 * MIB, os.path.getsize(back))
        self.assertLess(os.stat(back).st_blocks * 512, 8 * MIB)
        with open(back, "rb") as file:
            self.assertEqual(pattern(MIB), file.read(MIB))

    def test_key_is_on_no_command_line(self):
        key = self.ceph.key(self.pools.in_ceph)
        execute = mock.patch("oslo_concurrency.processutils.execute")
        path = self.file("content", b"x" * 512)
        with execute as called:
            self.pool.upload("v", path)
        ((words, options),) = [(call.args, call.kwargs) for call in called.call_args_list]
        self.assertEqual(key, options["process_input"])
        self.assertNotIn(key, " ".join(words))

    def test_private_secret_is_named_and_leaves_nothing(self):
        self.pools.secret.undefine()
        self.pools.define_secret(private=True)
        path = self.file("content", b"x" * 512)
        error = self.assertRaises(PoolError, self.pool.upload, "v", path)
        self.assertIn(f"Cannot read the secret of storage pool {DISKS_POOL}", str(error))
        self.assertEqual([], self.pool.names())

    def test_copy_that_fails_leaves_nothing(self):
        files = self.directory_pool()
        files.upload("broken", self.file("content", b"x" * MIB))
        files.refresh()
        os.truncate(files.volume("broken").path, 0)
        spec = VolumeSpec("v", "raw", MIB)
        with mock.patch.object(files, "volume") as volume:
            volume.return_value.path, volume.return_value.format = "/missing", "raw"
            error = self.assertRaises(PoolError, self.pool.clone, spec, files, "broken", "raw")
        self.assertIn("/missing", str(error))
        self.assertEqual([], self.pool.names())

    def test_volume_goes_to_a_pool_of_files_and_comes_back(self):
        files = self.directory_pool()
        self.pool.upload("v", self.file("content", pattern(MIB)))
        self.pool.send("v", files, "w")
        with open(files.volume("w").path, "rb") as file:
            self.assertEqual(pattern(MIB), file.read())
        files.send("w", self.pool, "x")
        self.assertEqual(pattern(MIB), self.pools.content("x"))
        self.assertRaises(exception.DiskNotFound, self.pool.send, "missing", files)

    def test_copy_within_the_pool_stands_alone(self):
        self.pool.upload("v", self.file("content", pattern(MIB)))
        self.pool.send("v", self.pool, "v.before")
        self.assertIsNone(self.pools.parent("v.before"))
        self.pool.delete("v")
        self.assertEqual(pattern(MIB), self.pools.content("v.before"))

    def test_volume_that_another_host_has_deleted_is_gone(self):
        self.pool.create(VolumeSpec("v", "raw", MIB))
        self.pool.create(VolumeSpec("w", "raw", MIB))
        for name in ("v", "w"):
            self.ceph.rbd("rm", "--no-progress", f"{self.pools.in_ceph}/{name}")
        self.assertIsNone(self.pool.volume("v"))
        self.pool.create(VolumeSpec("x", "raw", MIB))
        self.ceph.rbd("rm", "--no-progress", f"{self.pools.in_ceph}/x")
        self.assertEqual([], self.pool.volumes())
        self.pool.create(VolumeSpec("y", "raw", MIB))
        self.ceph.rbd("rm", "--no-progress", f"{self.pools.in_ceph}/y")
        self.pool.delete("y")
        self.assertEqual([], self.pool.names())

    def test_cluster_is_counted_once(self):
        self.pools.host.get_connection().storagePoolCreateXML(self.pools.pool_xml("second"))
        self.flags(pools={"disk.swap": "second"}, group="libvirt_storage")
        storage = Storage(self.pools.host)
        storage.prepare()
        self.assertEqual(CAPACITY, storage.size().capacity)
        self.directory_pool("files")
        self.flags(pools={"disk.swap": "files"}, group="libvirt_storage")
        storage = Storage(self.pools.host)
        storage.prepare()
        self.assertNotEqual(CAPACITY, storage.size().capacity)

    def test_kernel_is_refused_where_qemu_cannot_read_it(self):
        for disk in ("kernel", "ramdisk.rescue"):
            error = self.assertRaises(PoolError, self.storage.pool_for, disk)
            self.assertIn("pools = kernel:<pool>", str(error))
        self.directory_pool()
        self.flags(pools={"kernel": "files"}, group="libvirt_storage")
        storage = Storage(self.pools.host)
        storage.prepare()
        self.assertEqual("files", storage.pool_for("kernel").name)


class DiskCase(CephCase):
    """Disks made of a cached image of 1 MiB."""

    def setUp(self):
        super().setUp()
        self.backend = StorageBackend(self.storage)
        self.instance = objects.Instance(uuid=uuids.instance, id=1)
        self.fetched = []

    def fetch(self, target, **_options):
        self.fetched.append(target)
        raw = self.file("fetched", pattern(MIB))
        command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, target]
        subprocess.run(command, check=True)

    def disk(self, name="disk", **options):
        return self.backend.by_name(self.instance, name, **options)

    def make(self, name="disk", **options):
        disk = self.disk(name)
        disk.cache(self.fetch, "image", size=8 * MIB, **options)
        return disk


class DiskTest(DiskCase):
    template = "nova-template_image_host-a"
    templates = (template, f"{template}.complete")

    def test_disks_are_clones_of_one_template(self):
        disk = self.make()
        with mock.patch.object(RbdPool, "make_template", side_effect=AssertionError):
            self.make("disk.local")
        self.assertIsInstance(disk, RbdStorage)
        self.assertEqual(("raw", 8 * MIB), (disk.driver_format, self.pool.volume(DISK).capacity))
        for volume in (DISK, f"{uuids.instance}_disk.local"):
            self.assertEqual(self.template, self.pools.parent(volume))
            self.assertEqual(pattern(MIB) + bytes(7 * MIB), self.pools.content(volume))

    def test_template_of_another_host_is_used(self):
        self.make()
        self.flags(host="host-b")
        self.make("disk.local")
        self.assertEqual(self.template, self.pools.parent(f"{uuids.instance}_disk.local"))

    def test_template_that_was_cut_short_is_made_anew(self):
        self.pool.create(VolumeSpec(self.template, "raw", MIB))
        self.make()
        self.assertEqual(self.template, self.pools.parent(DISK))
        self.assertEqual(pattern(MIB), self.pools.content(DISK)[:MIB])

    def test_template_goes_with_the_image_and_the_last_disk(self):
        self.make()
        os.unlink(os.path.join(cache_directory(), "image"))
        manager = StorageCacheManager(self.storage)
        with mock.patch("nova.virt.libvirt.imagecache.ImageCacheManager.update"):
            manager.update(None, [])
            self.assertEqual(sorted([DISK, *self.templates]), self.pool.names())
            self.assertEqual(pattern(MIB), self.pools.content(DISK)[:MIB])
            self.pool.delete(DISK)
            self.flags(host="host")
            manager.update(None, [])
            self.assertEqual(sorted(self.templates), self.pool.names())
            self.flags(host="host-a")
            manager.update(None, [])
        self.assertEqual([], self.pool.names())

    def test_template_stays_with_its_image(self):
        self.make()
        self.pool.delete(DISK)
        self.pool.remove_templates(cache_directory())
        self.assertEqual(sorted(self.templates), self.pool.names())

    def test_full_copies_need_no_template(self):
        self.make("disk.eph0", safe=True)
        self.flags(use_cow_images=False)
        self.backend = StorageBackend(self.storage)
        self.make()
        names = [DISK, f"{uuids.instance}_disk.eph0"]
        self.assertEqual(names, self.pool.names())
        for name in names:
            self.assertIsNone(self.pools.parent(name))
            self.assertEqual(pattern(MIB) + bytes(7 * MIB), self.pools.content(name))

    def test_image_larger_than_the_disk_is_refused_and_leaves_nothing(self):
        self.assertRaises(
            exception.FlavorDiskSmallerThanImage,
            self.disk().cache,
            self.fetch,
            "image",
            size=MIB // 2,
        )
        self.assertEqual([], self.pool.names())

    def test_config_drive_is_taken_in(self):
        path = self.file("disk.config", pattern(MIB))
        self.disk("disk.config").import_file(self.instance, path, "unused")
        self.assertEqual(pattern(MIB), self.pools.content(f"{uuids.instance}_disk.config"))
        self.assertFalse(os.path.exists(path))

    def test_snapshot_of_a_stopped_guest(self):
        target = os.path.join(self.scratch, "snapshot")
        self.make().snapshot_extract(target, "qcow2")
        self.assertEqual("qcow2", qemu_info(target)["format"])
        raw = os.path.join(self.scratch, "raw")
        self.make().snapshot_extract(raw, "raw")
        with open(raw, "rb") as file:
            self.assertEqual(pattern(MIB), file.read(MIB))
        self.assertNotIn(f"{DISK}.snapshot", self.pool.names())

    def test_nothing_is_put_into_a_disk_on_the_host(self):
        disk = self.make()
        self.assertRaises(exception.UnsupportedImageModel, disk.get_model, None)


class GuestTest(DiskCase):
    """A running guest whose disk is in Ceph."""

    def setUp(self):
        super().setUp()
        disk = self.make()
        info = self.disk(disk_info_mapping=MAPPING).libvirt_info("writeback", {})
        self.assertEqual(disk.path, info.source_path)
        self.domain = self.pools.host.get_connection().defineXML(
            DOMAIN.format(uuid=uuids.instance, disk=info.to_xml())
        )
        self.addCleanup(self.domain.undefine)
        self.domain.create()
        self.addCleanup(lambda: self.domain.isActive() and self.domain.destroy())
        self.guest = VolumeGuest(self.domain, self.storage.find_path, self.storage.find_volume)
        # The copy belongs to the tests' own user already.
        self.stub_out("nova.privsep.path.chown", lambda path, uid: None)

    def test_disk_is_known_for_a_volume(self):
        path = f"{self.pools.in_ceph}/{DISK}"
        self.assertEqual((path, "raw"), libvirt_utils.find_disk(self.guest))
        for device in ("vda", path):
            disk = self.guest.get_disk(device)
            self.assertEqual((DISKS_POOL, DISK), (disk.source_pool, disk.source_volume))

    def test_other_images_of_the_cluster_are_no_disks_of_instances(self):
        for name in (f"{self.pools.in_ceph}/volume-{uuids.volume}", f"other/{DISK}"):
            self.assertIsNone(self.storage.find_volume(name))

    def test_disk_of_novas_own_backend_is_a_volume_where_the_pool_is_the_same(self):
        legacy = LegacyInstances(self.pools.host, self.storage)
        self.assertIs(Home.POOL, legacy.home(self.instance))
        with mock.patch.object(self.pool, "volume_path", lambda name: f"other/{name}"):
            self.assertIs(Home.NOVA, legacy.home(self.instance))

    def test_copy_of_a_running_guests_disk(self):
        target = os.path.join(self.scratch, "copy")
        # QEMU writes there as itself.
        snapshot.copy_running(self.guest, self.pool.volume(DISK), target, "raw", mock.MagicMock())
        with open(target, "rb") as file:
            self.assertEqual(pattern(MIB) + bytes(7 * MIB), file.read())
        self.assertEqual({}, self.domain.blockJobInfo("vda"))

    @slow
    def test_disk_of_a_killed_guest_is_deleted(self):
        with open(os.path.join(self.pools.daemon.directory, "run-libvirt/qemu/one.pid")) as file:
            os.kill(int(file.read()), 9)
        self.pool.delete(DISK)
        self.assertNotIn(DISK, self.pool.names())


if __name__ == "__main__":
    unittest.main()
