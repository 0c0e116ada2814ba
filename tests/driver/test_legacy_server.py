# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Servers of nova's own image backends under the driver, and their way into the pools."""

import os
import unittest
from types import SimpleNamespace
from unittest import mock
from xml.etree import ElementTree

import nova.conf
from nova import context as nova_context
from nova import exception, objects
from nova.tests import fixtures as nova_fixtures
from nova.virt import images
from nova.virt.polyvisor.libvirt import StoragePoolDriver
from support import DISKS_POOL
from test_driver import ServerBase
from test_pool import qemu_info

CONF = nova.conf.CONF
GIB = 1024**3


class LegacyServerTest(ServerBase):
    """Servers that were booted while pools were not enabled."""

    def setUp(self):
        self.flags(enabled=False, group="libvirt_storage")
        super().setUp()
        self.useFixture(nova_fixtures.PrivsepFixture())

    def boot(self):
        wanted = {**self._build_server(networks="none"), "config_drive": True}
        return self._wait_for_state_change(self.api.post_server({"server": wanted}), "ACTIVE")

    def files(self, server):
        directory = os.path.join(CONF.instances_path, server["id"])
        return sorted(name for name in os.listdir(directory) if name in ("disk", "disk.config"))

    def disk_types(self, server):
        domain = ElementTree.fromstring(self.domain(server).XMLDesc())
        return [disk.get("type") for disk in domain.findall("devices/disk")]

    def names(self, server):
        return [f"{server['id']}_{disk}" for disk in ("disk", "disk.config")]

    def enable(self):
        self.flags(enabled=True, group="libvirt_storage")

    def boot_host(self, server):
        """Let the driver do what nova has it do when the host has booted."""
        context = nova_context.get_admin_context()
        instance = objects.Instance.get_by_uuid(context, server["id"])
        self.domain(server).destroy()
        self.compute.driver.resume_state_on_host_boot(
            context, instance, [], [], {"block_device_mapping": []}
        )
        self.assertTrue(self.domain(server).isActive())

    def rescue_and_unrescue(self, server):
        self.api.post_server_action(server["id"], {"rescue": {}})
        self._wait_for_state_change(server, "RESCUE")
        self.assertEqual({"file"}, set(self.disk_types(server)))
        self.assertEqual([], self.volumes())
        self.api.post_server_action(server["id"], {"unrescue": None})
        self._wait_for_state_change(server, "ACTIVE")
        self.assertEqual(["disk", "disk.config"], self.files(server))

    def snapshot(self, server):
        """Snapshot a stopped server and look at what Glance gets."""
        taken = []
        convert = images.convert_image

        def convert_and_look(source, target, in_format, out_format, **options):
            convert(source, target, in_format, out_format, **options)
            taken.append((source, out_format, qemu_info(target)["virtual-size"]))

        with mock.patch.object(images, "convert_image", convert_and_look):
            self.api.post_server_action(server["id"], {"createImage": {"name": "one"}})
            self.notifier.wait_for_versioned_notifications("instance.snapshot.end", timeout=120)
        root = os.path.join(CONF.instances_path, server["id"], "disk")
        self.assertEqual([(root, "qcow2", GIB)], taken)

    def test_legacy_server_lives_on_beside_a_new_one(self):
        old = self.boot()
        self.assertEqual(["disk", "disk.config"], self.files(old))
        self.assertEqual(["file", "file"], self.disk_types(old))
        self.assertEqual([], self.volumes())
        self._reboot_server(old, hard=True)
        self.assertEqual(["file", "file"], self.disk_types(old))

        self.enable()
        self.rescue_and_unrescue(old)
        new = self.boot()
        self.assertEqual(["volume", "volume"], self.disk_types(new))
        self.assertEqual(self.names(new), self.volumes())
        self.assertEqual([], self.files(new))
        self._stop_server(old)
        self.snapshot(old)
        self.assertEqual(["disk", "disk.config"], self.files(old))
        self._delete_server(old)
        self.assertFalse(os.path.exists(os.path.join(CONF.instances_path, old["id"])))
        self.assertEqual(self.names(new), self.volumes())

    def test_hard_reboot_moves_a_legacy_server_into_the_pool(self):
        server = self.boot()
        number = os.stat(os.path.join(CONF.instances_path, server["id"], "disk")).st_ino
        self.enable()
        self.boot_host(server)
        self.assertEqual(["file", "file"], self.disk_types(server))
        # What cannot be moved starts on its own disks.
        self.pools.pool.destroy()
        self._reboot_server(server, hard=True)
        self.assertTrue(self.domain(server).isActive())
        self.assertEqual(["file", "file"], self.disk_types(server))
        self.pools.pool.create(0)
        self.assertEqual([], self.volumes())

        self._reboot_server(server, hard=True)
        self.assertTrue(self.domain(server).isActive())
        self.assertEqual(["volume", "volume"], self.disk_types(server))
        self.assertEqual(self.names(server), self.volumes())
        self.assertEqual([], self.files(server))
        root = os.path.join(self.pools.directory, self.names(server)[0])
        self.assertEqual(number, os.stat(root).st_ino)
        self._reboot_server(server, hard=True)
        self._delete_server(server)
        self.assertEqual([], self.volumes())

    def test_resize_moves_a_legacy_server_into_the_pool(self):
        self.flags(allow_resize_to_same_host=True)
        server = self.boot()
        self.enable()
        larger = self.api.get_flavors()[1]
        self._resize_server(server, larger["id"])
        self.assertEqual(["volume", "volume"], self.disk_types(server))
        self._confirm_resize(server)
        self.assertEqual(self.names(server), self.volumes())
        self.assertEqual([], self.files(server))

    def test_start_of_the_compute_warns_and_refuses_to_end_the_transition(self):
        server = self.boot()
        self.enable()
        with mock.patch("nova_polyvisor.libvirt.legacy.LOG.warning") as warning:
            self.compute.driver.init_host(self.compute.host)
        warning.assert_called_once()
        self.assertEqual(1, warning.call_args.args[1]["count"])
        self.flags(transition=False, group="libvirt_storage")
        error = self.assertRaises(
            exception.InvalidConfiguration, self.compute.driver.init_host, self.compute.host
        )
        self.assertIn(server["id"], str(error))
        self.flags(transition=True, group="libvirt_storage")
        self._stop_server(server)
        self._start_server(server)
        self.flags(transition=False, group="libvirt_storage")
        self.compute.driver.init_host(self.compute.host)
        self.assertEqual([(DISKS_POOL, n) for n in self.names(server)], self.sources(server))

    def sources(self, server):
        domain = ElementTree.fromstring(self.domain(server).XMLDesc())
        sources = domain.findall("devices/disk/source")
        return [(source.get("pool"), source.get("volume")) for source in sources]


class ConfigurationTest(unittest.TestCase):
    """What is refused before anything else happens."""

    def init_host(self, **options):
        driver = StoragePoolDriver.__new__(StoragePoolDriver)
        storage = SimpleNamespace(**{"enabled": True, "transition": True, **options})
        images_type = storage.__dict__.pop("images_type", "default")
        conf = SimpleNamespace(
            libvirt_storage=storage, libvirt=SimpleNamespace(images_type=images_type)
        )
        with mock.patch("nova_polyvisor.libvirt.driver.CONF", conf):
            driver.init_host("host")

    def test_disks_of_novas_own_need_the_transition(self):
        with self.assertRaisesRegex(exception.InvalidConfiguration, "enabled is false"):
            self.init_host(enabled=False, transition=False)

    def test_images_type_has_no_meaning_without_the_transition(self):
        with self.assertRaisesRegex(exception.InvalidConfiguration, "images_type is lvm"):
            self.init_host(images_type="lvm", transition=False)


class KernelTest(unittest.TestCase):
    """Where a guest finds what it boots from."""

    def kernel(self, legacy):
        guest = SimpleNamespace(uuid="one", os_kernel="/instances/one/kernel", os_initrd=None)
        driver = StoragePoolDriver.__new__(StoragePoolDriver)
        driver._legacy = [guest] if legacy else []
        driver._storage = SimpleNamespace(disk_path=lambda uuid, disk: f"/pool/{uuid}_{disk}")
        driver._use_volumes_to_boot(guest)
        return guest.os_kernel

    def test_legacy_guest_boots_from_the_file_in_its_directory(self):
        self.assertEqual("/instances/one/kernel", self.kernel(legacy=True))

    def test_other_guest_boots_from_the_volume(self):
        self.assertEqual("/pool/one_kernel", self.kernel(legacy=False))


if __name__ == "__main__":
    unittest.main()
