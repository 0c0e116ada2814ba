# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Instances that come up on another host: evacuated from one that is lost, and unshelved."""

import os
import unittest
from typing import ClassVar
from unittest import mock

from nova.compute import vm_states
from nova.network import model
from nova_polyvisor.libvirt.legacy import Home
from oslo_utils.fixture import uuidsentinel as uuids
from support import DISKS_POOL
from test_resize import DISKS, GIB, MoveCase


class EvacuationCase(MoveCase):
    """A host is lost, and comes back."""

    def lose(self):
        """Let the instance stop with its host, and be the other one's from then on."""
        self.here.domain().destroy()
        self.write(self.here)
        self.instance.host = self.there.name

    def evacuate(self):
        """Start the instance on the other host; returns whether its disks were there already."""
        self.lose()
        with self.there as driver:
            found = driver.instance_on_disk(self.instance)
        self.boot(self.there)
        return found

    def come_back_empty(self):
        """Let the host that was lost do away with the instance."""
        self.here.start_driver()
        # Libvirt there has seen what the other host has made meanwhile.
        self.here.pool()
        self.destroy_unless_shared(self.here, self.there)
        self.assertIsNone(self.here.domain())


class OwnPoolsTest(EvacuationCase):
    """Every host has a pool of its own."""

    sizes = (1, 1, 64)

    def test_instance_starts_from_its_image_and_the_lost_host_is_emptied(self):
        self.assertFalse(self.evacuate())
        self.assert_lives_on(self.there, DISKS)
        self.assertRaises(AssertionError, self.assert_written, self.there)
        self.come_back_empty()
        self.assert_nothing_on(self.here)
        self.assert_lives_on(self.there, DISKS)

    def test_lost_host_deletes_nothing_while_it_cannot_ask_the_other(self):
        self.evacuate()
        self.here.start_driver()
        with self.here as driver:
            driver.destroy(
                self.context, self.instance, model.NetworkInfo(), self.block_devices(), True
            )
        self.assertIsNone(self.here.domain())
        self.assertEqual({*DISKS, "disk.config"}, set(self.here.disks()))

    def test_instance_that_was_deleted_meanwhile_leaves_nothing(self):
        self.evacuate()
        self.here.start_driver()
        self.instance.deleted = True
        for host in (self.here, self.there):
            with host as driver:
                driver.destroy(
                    self.context, self.instance, model.NetworkInfo(), self.block_devices(), True
                )
            self.assert_nothing_on(host)

    def test_unshelved_instance_needs_no_image_that_nova_deletes(self):
        with self.here as driver:
            driver.destroy(
                self.context, self.instance, model.NetworkInfo(), self.block_devices(), True
            )
        self.assert_nothing_on(self.here)
        original = self.instance.image_ref
        self.instance.host = self.there.name
        self.instance.vm_state = vm_states.SHELVED_OFFLOADED
        self.instance.image_ref = uuids.shelved
        self.boot(self.there)
        self.instance.image_ref = original
        self.instance.vm_state = vm_states.ACTIVE
        self.assert_lives_on(self.there, DISKS, over_image=False)
        cache = os.path.join(self.there.directory, "_base")
        for name in os.listdir(cache):
            os.unlink(os.path.join(cache, name))
        with self.there as driver:
            driver.reboot(
                self.context, self.instance, model.NetworkInfo(), "HARD", self.block_devices()
            )
        self.assert_lives_on(self.there, DISKS, over_image=False)


class TwoPoolsTest(EvacuationCase):
    """The root disk's pool is every host's own; swap and the ephemeral disk are in a shared one."""

    sizes = (1, 1, 64)
    pools: ClassVar = {"disk.local": "scratch", "disk.swap": "scratch"}
    shared_pools = frozenset({"scratch"})

    def test_lost_host_leaves_what_is_shared(self):
        self.assertFalse(self.evacuate())
        self.assert_lives_on(self.there, DISKS)
        self.come_back_empty()
        self.assertEqual([], self.here.in_pool(DISKS_POOL))
        self.assert_lives_on(self.there, DISKS)


class LegacyCase(EvacuationCase):
    """The instance was started with nova's own disks."""

    enabled = False

    def setUp(self):
        super().setUp()
        self.flags(enabled=True, group="libvirt_storage")

    def home(self, host):
        with host as driver:
            return driver._legacy.home(self.instance)

    def legacy_files(self, host):
        directory = os.path.join(host.directory, uuids.instance)
        return os.path.exists(os.path.join(directory, "disk"))


class LegacyOwnDirectoriesTest(LegacyCase):
    """Hosts that share the pool that new disks are made in, and no instances_path."""

    shared_pool = True

    def test_instance_starts_from_volumes_and_the_lost_host_leaves_them(self):
        self.assertFalse(self.evacuate())
        self.assert_lives_on(self.there, {"disk": GIB})
        self.assertTrue(self.legacy_files(self.here))
        self.come_back_empty()
        self.assertFalse(self.legacy_files(self.here))
        self.assert_lives_on(self.there, {"disk": GIB})

    def test_disks_on_rbd_count_as_shared(self):
        with self.here as driver, mock.patch.object(driver._legacy.backend, "backend") as backend:
            backend.return_value.is_shared_block_storage.return_value = True
            mark = driver.check_instance_shared_storage_local(self.context, self.instance)
        self.assertIsNone(mark)


class LegacySharedDirectoryTest(LegacyCase):
    """Hosts that share instances_path."""

    def setUp(self):
        super().setUp()
        self.there.directory = self.here.directory

    def test_instance_starts_on_its_disks_and_keeps_them(self):
        self.assertTrue(self.evacuate())
        self.assertEqual(Home.NOVA, self.home(self.there))
        self.assertTrue(self.there.domain().isActive())
        self.come_back_empty()
        self.assertTrue(self.legacy_files(self.there))
        self.assert_written(self.there)
        left = os.listdir(os.path.join(self.here.directory, uuids.instance))
        self.assertEqual([], [name for name in left if name.startswith("tmp")])


if __name__ == "__main__":
    unittest.main()
