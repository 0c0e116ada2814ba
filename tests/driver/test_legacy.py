# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Which instances nova's own image backends keep, told on a real libvirtd."""

import os
import unittest
from unittest import mock

from nova import exception, objects
from nova.virt.libvirt import imagebackend
from nova_polyvisor.libvirt.image import LibvirtStorage, StorageBackend
from nova_polyvisor.libvirt.legacy import Home, Journal, LegacyInstances, disks_of_domain
from nova_polyvisor.libvirt.pool import VolumeSpec
from oslo_utils.fixture import uuidsentinel as uuids
from support import DISKS_POOL
from test_image import ImageTestBase
from test_pool import MIB

DOMAIN = """
<domain type='qemu'><name>one</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory>
<os><type>hvm</type>{boot}</os><devices>{disks}</devices></domain>
"""
FILE_DISK = """
<disk type='file'><driver name='qemu' type='{format}'/><source file='{path}'/>
<target dev='{target}' bus='virtio'/></disk>
"""
VOLUME_DISK = """
<disk type='volume'><driver name='qemu' type='qcow2'/><source pool='{pool}' volume='{name}'/>
<target dev='vda' bus='virtio'/></disk>
"""


class LegacyTestBase(ImageTestBase):
    def setUp(self):
        super().setUp()
        self.legacy = LegacyInstances(self.pools.host, self.storage)
        self.backend = StorageBackend(self.storage, self.legacy)

    def path(self, name="disk"):
        return os.path.join(self.instance_directory, name)

    @property
    def instance_directory(self):
        return os.path.join(self.instances_path, self.instance.uuid)

    def file(self, name="disk", content=b""):
        os.makedirs(self.instance_directory, exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def define(self, disks, boot=""):
        domain = self.pools.host.get_connection().defineXML(
            DOMAIN.format(uuid=self.instance.uuid, disks=disks, boot=boot)
        )
        self.addCleanup(self.undefine)
        return domain

    def undefine(self):
        domain = self.legacy.domain(self.instance)
        if domain is not None:
            if domain.isActive():
                domain.destroy()
            domain.undefine()


class HomeTest(LegacyTestBase):
    def setUp(self):
        super().setUp()
        self.volume = f"{self.instance.uuid}_disk"

    def home(self):
        return self.legacy.home(self.instance)

    def volume_disk(self):
        return VOLUME_DISK.format(pool=DISKS_POOL, name=self.volume)

    def file_disk(self, path, target="vda"):
        return FILE_DISK.format(format="qcow2", path=path, target=target)

    def test_instance_without_anything_has_no_home_yet(self):
        self.assertIsNone(self.home())

    def test_domain_with_a_file_of_the_instances_directory_is_legacy(self):
        self.define(self.file_disk(self.path()))
        self.assertEqual(Home.NOVA, self.home())

    def test_domain_with_a_volume_is_not_whatever_lies_in_the_directory(self):
        self.file("disk")
        self.define(self.volume_disk())
        self.assertEqual(Home.POOL, self.home())

    def test_volume_named_by_its_path_is_a_volume(self):
        self.define(self.file_disk(os.path.join(self.pools.directory, self.volume)))
        self.assertEqual(Home.POOL, self.home())

    def test_domain_with_attached_volumes_alone_says_nothing(self):
        self.define(self.file_disk("/var/lib/nova/mnt/volume-1"))
        self.assertIsNone(self.home())
        self.file("disk.swap")
        self.assertEqual(Home.NOVA, self.home())

    def test_logical_volumes_and_rbd_images_are_legacy(self):
        uuid = self.instance.uuid
        for disk in (
            f"<disk type='block'><driver type='raw'/><source dev='/dev/vg/{uuid}_disk'/></disk>",
            f"<disk type='network'><driver type='raw'/><source name='vms/{uuid}_disk'/></disk>",
        ):
            (found,) = disks_of_domain(DOMAIN.format(uuid=uuid, disks=disk, boot=""), self.instance)
            self.assertEqual(("disk", "raw"), (found.name, found.format))

    def test_without_a_domain_the_directory_tells(self):
        self.file("console.log")
        self.file("disk.info")
        self.assertIsNone(self.home())
        self.file("disk.eph0")
        self.assertEqual(Home.NOVA, self.home())

    def test_without_a_domain_a_complete_move_counts_before_the_directory(self):
        self.file("disk")
        Journal(self.instance).write({})
        self.assertEqual(Home.NOVA, self.home())
        Journal(self.instance).write({self.path(): [DISKS_POOL, self.volume]})
        self.assertEqual(Home.POOL, self.home())

    def test_config_drive_on_its_way_into_a_volume_makes_no_legacy_instance(self):
        self.storage.disks.create(VolumeSpec(self.volume, "raw", MIB))
        self.file("disk.config")
        self.assertEqual(Home.POOL, self.home())

    def test_config_drive_alone_is_legacy(self):
        self.file("disk.config")
        self.assertEqual(Home.NOVA, self.home())

    def test_lvm_without_a_domain_is_asked_for(self):
        self.flags(images_type="lvm", images_volume_group="vg", group="libvirt")
        for exists, home in ((True, Home.NOVA), (False, None)):
            with mock.patch.object(self.legacy.backend, "by_name") as by_name:
                by_name.return_value.exists.return_value = exists
                self.assertEqual(home, self.home())


class BackendTest(LegacyTestBase):
    """Each instance has its own backend."""

    def classes(self, *names):
        return [type(self.disk(name)) for name in names]

    def test_new_instance_gets_volumes(self):
        self.assertEqual([LibvirtStorage] * 2, self.classes("disk", "disk.swap"))
        self.assertIs(LibvirtStorage, self.backend.backend())

    def test_new_instance_gets_novas_own_disks_while_pools_are_not_enabled(self):
        self.flags(enabled=False, group="libvirt_storage")
        self.assertEqual([imagebackend.Qcow2] * 2, self.classes("disk", "disk.swap"))
        self.assertIs(imagebackend.Qcow2, self.backend.backend())

    def test_instance_with_volumes_keeps_them_while_pools_are_not_enabled(self):
        self.disk().cache(self.fetch, "template", size=4 * MIB)
        self.flags(enabled=False, group="libvirt_storage")
        self.assertEqual([LibvirtStorage] * 2, self.classes("disk", "disk.swap"))

    def test_legacy_instance_keeps_its_disks(self):
        self.file("disk")
        self.assertEqual([imagebackend.Qcow2] * 2, self.classes("disk", "disk.swap"))
        config = self.disk("disk.config", "raw")
        self.assertEqual((imagebackend.Flat, self.path("disk.config")), (type(config), config.path))
        found = self.backend.by_libvirt_path(self.instance, self.path(), "qcow2")
        self.assertIsInstance(found, imagebackend.Qcow2)

    def test_legacy_instance_has_the_backend_that_images_type_names(self):
        self.flags(images_type="raw", group="libvirt")
        self.file("disk")
        self.assertEqual([imagebackend.Flat], self.classes("disk"))

    def test_images_type_says_nothing_about_volumes(self):
        self.flags(images_type="raw", group="libvirt")
        self.disk("disk", "raw").cache(self.fetch, "template", size=4 * MIB)
        self.assertEqual("qcow2", self.disk().driver_format)

    def test_config_drive_is_left_to_nova_to_remove_with_rbd(self):
        self.flags(images_type="rbd", group="libvirt")
        with mock.patch.object(self.legacy.backend, "by_name") as by_name:
            by_name.return_value.exists.return_value = False
            disk = self.disk("disk.config", "rbd")
            disk.import_file(self.instance, self.file("disk.config", b"x" * MIB), "disk.config")
        self.assertTrue(os.path.exists(self.path("disk.config")))
        self.assertEqual("raw", disk.driver_format)

    def test_nobody_is_legacy_once_the_transition_has_ended(self):
        self.file("disk")
        self.flags(transition=False, group="libvirt_storage")
        self.assertNotIn(self.instance, self.legacy)


class ReportTest(LegacyTestBase):
    def setUp(self):
        super().setUp()
        self.others = [objects.Instance(uuid=uuids.other), objects.Instance(uuid=uuids.third)]

    def report(self):
        with self.assertLogs("nova_polyvisor.libvirt.legacy", "WARNING") as logs:
            self.legacy.report([self.instance, *self.others])
        return logs.output

    def test_one_warning_tells_how_many_there_are_and_how_to_move_them(self):
        self.file("disk")
        (warning,) = self.report()
        for text in ("1 instances", self.instance.uuid, "--hard", "transition = false"):
            self.assertIn(text, warning)

    def test_many_are_not_all_named(self):
        many = [objects.Instance(uuid=getattr(uuids, f"many{n}")) for n in range(12)]
        with (
            mock.patch.object(self.legacy, "home", return_value=Home.NOVA),
            self.assertLogs("nova_polyvisor.libvirt.legacy", "WARNING") as logs,
        ):
            self.legacy.report(many)
        self.assertIn("12 instances", logs.output[0])
        self.assertIn(", ...", logs.output[0])

    def test_nothing_is_said_where_there_are_none(self):
        with mock.patch("nova_polyvisor.libvirt.legacy.LOG.warning") as warning:
            self.legacy.report([self.instance, *self.others])
        warning.assert_not_called()

    def test_the_transition_cannot_end_while_there_is_one(self):
        self.file("disk")
        self.flags(transition=False, group="libvirt_storage")
        error = self.assertRaises(
            exception.InvalidConfiguration, self.legacy.report, [self.instance, *self.others]
        )
        self.assertIn("transition", str(error))
        self.assertIn(self.instance.uuid, str(error))

    def test_the_transition_can_end_when_there_is_none(self):
        self.flags(transition=False, group="libvirt_storage")
        self.legacy.report([self.instance, *self.others])


if __name__ == "__main__":
    unittest.main()
