# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Live migration of real guests whose disks nova's own image backends have made."""

import errno
import hashlib
import os
import subprocess
import unittest
from unittest import mock

import fixtures
import libvirt
from lxml import etree
from nova import exception
from nova.network import model
from nova_polyvisor.libvirt import live, transition
from nova_polyvisor.libvirt.legacy import Home, LegacyDisk
from nova_polyvisor.libvirt.pool import Pool
from oslo_utils.fixture import uuidsentinel as uuids
from support import DISKS_POOL
from test_live_migration import DISKS, GIB, LiveCase
from test_pool import MIB, pattern, qemu_info


class LegacyCase(LiveCase):
    """The instance is started with nova's own disks, and the pools are enabled afterwards."""

    enabled = False
    images_type = "qcow2"

    def setUp(self):
        self.flags(images_type=self.images_type, group="libvirt")
        super().setUp()
        self.assert_legacy_on(self.here)
        self.here.domain().destroy()
        self.write(self.here)
        self.here.domain().create()
        self.flags(enabled=True, group="libvirt_storage")

    def legacy_files(self, host):
        """Return the names of nova's own disks on a host."""
        directory = os.path.join(host.directory, uuids.instance)
        names = os.listdir(directory) if os.path.exists(directory) else []
        return {name for name in names if name.startswith("disk") and name != "disk.info"}

    def assert_legacy_on(self, host):
        domain = host.domain()
        self.assertTrue(domain is not None and domain.isActive())
        with host as driver:
            self.assertEqual(Home.NOVA, driver._legacy.home(self.instance))
        self.assertEqual({}, host.disks())
        self.assertIn("disk", self.legacy_files(host))
        self.assertIn("disk.config", self.legacy_files(host))

    def assert_migrated(self, disks, over_image=True):
        """Fail unless the instance has moved to the other host, and from files into volumes."""
        self.assertIsNone(self.here.domain())
        self.assertEqual(set(), self.legacy_files(self.here))
        self.assertEqual(set(), self.legacy_files(self.there))
        self.assert_lives_on(self.there, disks, over_image)
        self.assert_written(self.there)


class OwnDirectoriesTest(LegacyCase):
    """Hosts that share nothing: QEMU copies the disks into volumes."""

    def test_into_the_pool_and_back_and_a_hard_reboot(self):
        data = self.migrate()
        self.assertTrue(data.block_migration)
        self.assert_migrated({"disk": GIB})
        self.assert_nothing_on(self.here)
        root = qemu_info(os.path.join(self.there.pools.directory, f"{uuids.instance}_disk"))
        self.assertLess(root["actual-size"], 3 * 1024**2)
        self.migrate(self.there, self.here)
        self.assert_lives_on(self.here, {"disk": GIB})
        self.assert_nothing_on(self.there)
        with self.here as driver:
            driver.reboot(
                self.context, self.instance, model.NetworkInfo(), "HARD", self.block_devices()
            )
        self.assert_lives_on(self.here, {"disk": GIB})
        self.assert_written(self.here)

    def test_failed_migration_leaves_nothing_at_the_destination(self):
        data = self.prepare(self.here, self.there)
        self.assertEqual({"disk": GIB}, self.there.disks())
        self.roll_back(self.there, data)
        self.assert_nothing_on(self.there)
        self.assert_legacy_on(self.here)

    def test_migration_by_novas_own_means_while_pools_are_not_enabled(self):
        self.flags(enabled=False, group="libvirt_storage")
        data = self.prepare(self.here, self.there)
        self.assertTrue(data.block_migration)
        self.assertIn("disk", self.legacy_files(self.there))
        # Both hosts have the same path here, so that the guest cannot go there.
        with mock.patch("libvirt.virDomain.migrateToURI3") as migrate:
            self.migrate_only(data)
        params = migrate.call_args.kwargs["params"]
        self.assertEqual(["vda"], params["migrate_disks"])
        for xml in (params["destination_xml"], params["persistent_xml"]):
            disks = etree.fromstring(xml).findall("devices/disk")
            self.assertEqual(["file", "file"], [disk.get("type") for disk in disks])
        self.roll_back(self.there, data)
        self.assert_nothing_on(self.there)
        self.assert_legacy_on(self.here)

    def test_destination_alone_that_enables_pools_refuses(self):
        self.flags(enabled=False, group="libvirt_storage")
        with self.here as driver:
            disks = driver.get_instance_disk_info(self.instance, self.block_devices())
        data = self.check(self.here, self.there)
        self.flags(enabled=True, group="libvirt_storage")
        with self.there as driver:
            error = self.assertRaises(
                exception.MigrationError,
                driver.pre_live_migration,
                self.context,
                self.instance,
                self.block_devices(),
                model.NetworkInfo(),
                disks,
                data,
            )
        self.assertIn("not a volume", str(error))
        self.roll_back(self.there, data)
        self.assert_nothing_on(self.there)

    def test_disks_on_rbd_stay_there(self):
        stats = {"disk_available_least": 9, "free_disk_gb": 9, "cpu_info": ""}
        on_rbd = [LegacyDisk("disk", f"vms/{uuids.instance}_disk", "raw")]
        for images_type, shared in (("rbd", True), ("default", False)):
            with self.there as driver:
                data = driver.check_can_live_migrate_destination(
                    self.context, self.instance, *[stats] * 2, None, False
                )
            data.is_volume_backed, data.image_type = False, images_type
            self.flags(images_type="rbd", group="libvirt")
            with (
                self.here as driver,
                mock.patch.object(driver._transition, "disks", return_value=on_rbd),
                mock.patch.object(driver._legacy.backend, "backend") as backend,
            ):
                backend.return_value.is_shared_block_storage.return_value = True
                arguments = self.context, self.instance, data, self.block_devices()
                if shared:
                    found = driver.check_can_live_migrate_source(*arguments)
                    self.assertTrue(found.is_shared_block_storage)
                    self.assertFalse(found.block_migration)
                else:
                    error = self.assertRaises(
                        exception.MigrationPreCheckError,
                        driver.check_can_live_migrate_source,
                        *arguments,
                    )
                    self.assertIn("reboot it hard", str(error))
            self.flags(images_type="qcow2", group="libvirt")
            with self.there as driver:
                driver.cleanup_live_migration_destination_check(self.context, data)

    def test_logical_volume_becomes_a_raw_volume(self):
        device = f"/dev/vg/{uuids.instance}_disk"
        found = {"path": device, "type": "raw", "backing_file": "", "virt_disk_size": GIB}
        with self.here as driver:
            (described,) = live.as_volumes(
                driver._storage, self.instance, [found], [LegacyDisk("disk", device, "raw")]
            )
        place = {"pool": DISKS_POOL, "volume": f"{uuids.instance}_disk"}
        self.assertEqual({**found, **place}, described)

    def test_encrypted_disks_are_refused(self):
        self.instance.ephemeral_key_uuid = uuids.key
        error = self.assertRaises(
            exception.MigrationPreCheckError, self.check, self.here, self.there
        )
        self.assertIn("dm-crypt", str(error))
        self.assert_nothing_on(self.there)


class WholeCopyTest(LegacyCase):
    """Disks over a file system and swap that the source has made, and what a guest boots from."""

    sizes = (1, 1, 64)

    def new_instance(self):
        instance = super().new_instance()
        instance.kernel_id, instance.ramdisk_id = uuids.kernel, uuids.ramdisk
        return instance

    def bytes_of(self, path):
        """Return what a guest sees as a disk."""
        raw = os.path.join(self.useFixture(fixtures.TempDir()).path, "raw")
        subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", path, raw], check=True)
        with open(raw, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def test_what_no_other_host_has_goes_along(self):
        swap = self.disk_path(self.here, "disk.swap")
        self.assertEqual("swap_64", os.path.basename(qemu_info(swap)["backing-filename"]))
        self.here.domain().suspend()
        names = (*DISKS, "disk.config", "kernel", "ramdisk")
        before = {name: self.bytes_of(self.disk_path(self.here, name)) for name in names}
        self.migrate()
        self.assert_nothing_on(self.here)
        self.there.domain().suspend()
        after = {name: self.bytes_of(self.disk_path(self.there, name)) for name in names}
        self.assertEqual(before, after)
        defined = etree.fromstring(self.there.domain().XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        self.assertEqual(self.disk_path(self.there, "kernel"), defined.findtext("os/kernel"))
        self.assertEqual(self.disk_path(self.there, "ramdisk"), defined.findtext("os/initrd"))
        self.assertEqual({**DISKS, "disk.config": 0, "kernel": 1, "ramdisk": 1}, self.there.disks())


class RawVolumesTest(LegacyCase):
    """New disks are raw volumes, and the instance has a qcow2 file over the cached image."""

    def test_overlay_becomes_a_whole_raw_volume(self):
        self.flags(use_cow_images=False)
        self.migrate()
        self.assert_migrated({"disk": GIB}, over_image=False)
        root = self.disk_path(self.there, "disk")
        self.assertEqual("raw", qemu_info(root)["format"])
        with open(root, "rb") as file:
            self.assertEqual(pattern(MIB), file.read(MIB))
        with self.there as driver:
            driver.reboot(
                self.context, self.instance, model.NetworkInfo(), "HARD", self.block_devices()
            )
        self.assert_lives_on(self.there, {"disk": GIB})


class SharedPoolOwnDirectoriesTest(LegacyCase):
    """Hosts that share the pool only: QEMU copies, and the copies stay."""

    shared_pool = True

    def test_clean_up_at_the_source_leaves_the_volumes(self):
        data = self.migrate()
        self.assertTrue(data.block_migration)
        self.assert_migrated({"disk": GIB})

    def test_failed_migration_leaves_nothing(self):
        data = self.prepare(self.here, self.there)
        self.assertEqual({"disk": GIB}, self.there.disks())
        self.roll_back(self.there, data)
        self.assert_nothing_on(self.there)
        self.assert_legacy_on(self.here)


class SharedDirectoryTest(LegacyCase):
    """Hosts that share instances_path and the pool: files get names in the pool."""

    shared_pool = True

    def setUp(self):
        super().setUp()
        self.there.directory = self.here.directory
        # Libvirt does not know that the directories of both hosts are the same.
        for host in (self.here, self.there):
            host.driver._live_migration_flags |= libvirt.VIR_MIGRATE_UNSAFE

    def journal(self):
        return os.path.join(self.here.directory, uuids.instance, "disks-moved.json")

    def start_with_instance(self, host):
        """Start a driver that finds the instance to be its own."""
        self.stub_out("nova.objects.InstanceList.get_uuids_by_host", lambda *_a: [uuids.instance])
        host.start_driver()

    def test_files_become_volumes_without_a_copy(self):
        number = os.stat(self.disk_path(self.here, "disk")).st_ino
        with mock.patch.object(Pool, "upload", side_effect=AssertionError):
            data = self.migrate()
        self.assertFalse(data.block_migration)
        self.assert_migrated({"disk": GIB})
        self.assertFalse(os.path.exists(self.journal()))
        found = os.stat(self.disk_path(self.there, "disk"))
        self.assertEqual((number, 1), (found.st_ino, found.st_nlink))
        with self.there as driver:
            driver.reboot(
                self.context, self.instance, model.NetworkInfo(), "HARD", self.block_devices()
            )
        self.assert_lives_on(self.there, {"disk": GIB})

    def test_failed_migration_takes_the_names_back(self):
        data = self.prepare(self.here, self.there)
        broken = libvirt.libvirtError("the network is gone")
        with mock.patch("libvirt.virDomain.migrateToURI3", side_effect=broken):
            self.assertRaises(libvirt.libvirtError, self.migrate_only, data)
        self.assertEqual({"disk": GIB, "disk.config": 0}, self.here.disks())
        with self.here as driver:
            driver.rollback_live_migration_at_source(self.context, self.instance, data)
        self.assert_legacy_on(self.here)
        self.assertFalse(os.path.exists(self.journal()))

    def test_crash_of_the_source_on_the_way_is_undone_at_its_next_start(self):
        data = self.prepare(self.here, self.there)
        broken = libvirt.libvirtError("killed")
        with mock.patch("libvirt.virDomain.migrateToURI3", side_effect=broken):
            self.assertRaises(libvirt.libvirtError, self.migrate_only, data)
        with mock.patch.object(transition, "_is_busy", return_value=True):
            self.start_with_instance(self.here)
        self.assertTrue(os.path.exists(self.journal()))
        self.start_with_instance(self.here)
        self.assert_legacy_on(self.here)
        self.assertFalse(os.path.exists(self.journal()))

    def test_crash_after_the_guest_has_gone_is_finished(self):
        data = self.prepare(self.here, self.there)
        self.assertEqual("done", self.migrate_only(data))
        self.assertTrue(os.path.exists(self.journal()))
        self.assertIn("disk", self.legacy_files(self.here))
        self.start_with_instance(self.there)
        self.assert_migrated({"disk": GIB})
        self.assertFalse(os.path.exists(self.journal()))

    def test_source_that_lost_the_guest_in_a_crash_finishes_it_too(self):
        data = self.prepare(self.here, self.there)
        self.assertEqual("done", self.migrate_only(data))
        self.start_with_instance(self.here)
        self.there.pool()
        self.assert_migrated({"disk": GIB})

    def test_disks_that_cannot_be_linked_stay_files(self):
        for error in (errno.EXDEV, errno.EPERM):
            refuse = mock.Mock(side_effect=OSError(error, os.strerror(error)))
            source, dest = self.here, self.there
            with mock.patch.object(transition.privileged, "link", refuse):
                self.migrate(source, dest)
            refuse.assert_called_once()
            self.assert_legacy_on(dest)
            self.assert_written(dest)
            self.here, self.there = dest, source

    def test_full_pool_fails_the_migration_and_leaves_nothing(self):
        data = self.prepare(self.here, self.there)
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with mock.patch.object(transition.privileged, "link", side_effect=full):
            self.assertRaises(OSError, self.migrate_only, data)
        self.assert_legacy_on(self.here)
        self.assertFalse(os.path.exists(self.journal()))


class SharedDirectoryOwnPoolsTest(LegacyCase):
    """Hosts that share instances_path and no pool: the disks stay files."""

    def test_disks_stay_files(self):
        self.there.directory = self.here.directory
        for host in (self.here, self.there):
            host.driver._live_migration_flags |= libvirt.VIR_MIGRATE_UNSAFE
        self.migrate()
        self.assertIsNone(self.here.domain())
        self.assert_legacy_on(self.there)
        self.assert_written(self.there)


if __name__ == "__main__":
    unittest.main()
