# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Running guests (emulated, without an operating system) whose disks are volumes."""

import contextlib
import os
import unittest
from unittest import mock

from nova.virt.libvirt import utils as libvirt_utils
from nova_polyvisor.libvirt import snapshot
from nova_polyvisor.libvirt.config import VolumeDisk
from nova_polyvisor.libvirt.guest import VolumeGuest
from oslo_utils.fixture import uuidsentinel as uuids
from support import DISKS_POOL
from test_image import MAPPING, ImageTestBase
from test_pool import MIB, pattern, qemu_info

DOMAIN = """
<domain type='qemu'><name>one</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory>
<os><type>hvm</type></os><devices>{disk}</devices></domain>
"""


class GuestTest(ImageTestBase):
    def setUp(self):
        super().setUp()
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        disk = self.disk(disk_info_mapping=MAPPING).libvirt_info("writeback", {})
        self.domain = self.pools.host.get_connection().defineXML(
            DOMAIN.format(uuid=uuids.instance, disk=disk.to_xml())
        )
        self.addCleanup(self.domain.undefine)
        self.domain.create()
        self.addCleanup(self.domain.destroy)
        self.guest = VolumeGuest(self.domain, self.storage.find_path)
        # The copy belongs to the tests' own user already.
        self.stub_out("nova.privsep.path.chown", lambda path, uid: None)

    def copy(self, image_format):
        target = os.path.join(self.pools.daemon.directory, f"copy.{image_format}")
        volume = self.storage.disks.volume(f"{uuids.instance}_disk")
        snapshot.copy_running(self.guest, volume, target, image_format, contextlib.nullcontext)
        return target

    def test_nova_finds_the_root_disk(self):
        self.assertEqual((self.volume_path(), "qcow2"), libvirt_utils.find_disk(self.guest))

    def test_disk_is_found_by_its_path_and_by_its_target(self):
        for device in ("vda", self.volume_path()):
            disk = self.guest.get_disk(device)
            self.assertIsInstance(disk, VolumeDisk)
            self.assertEqual((DISKS_POOL, "vda"), (disk.source_pool, disk.target_dev))
        self.assertIsNone(self.guest.get_disk("vdb"))

    def test_copy_of_a_running_guests_disk_is_complete(self):
        for image_format in ("qcow2", "raw"):
            target = self.copy(image_format)
            info = qemu_info(target)
            self.assertEqual((image_format, 4 * MIB), (info["format"], info["virtual-size"]))
            self.assertNotIn("backing-filename", info)
            self.assertEqual(pattern(MIB), self.content(target)[:MIB])

    def test_copy_leaves_the_guest_as_it_was(self):
        before = self.domain.XMLDesc()
        target = self.copy("qcow2")
        self.assertEqual(before, self.domain.XMLDesc())
        self.assertTrue(self.domain.isActive() and self.domain.isPersistent())
        self.assertEqual({}, self.domain.blockJobInfo("vda"))
        self.assertFalse(os.path.exists(f"{target}.mirror"))
        self.assertEqual([f"{uuids.instance}_disk"], self.storage.disks.names())

    def test_copy_whose_guest_cannot_come_to_rest_leaves_no_job(self):
        restless = mock.Mock(side_effect=RuntimeError("not quiesced"))
        volume = self.storage.disks.volume(f"{uuids.instance}_disk")
        target = os.path.join(self.pools.daemon.directory, "copy")
        self.assertRaises(
            RuntimeError, snapshot.copy_running, self.guest, volume, target, "raw", restless
        )
        self.assertEqual({}, self.domain.blockJobInfo("vda"))


if __name__ == "__main__":
    unittest.main()
