# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Resize and cold migration between two hosts, with pools of their own and with a shared one."""

import os
import unittest
from typing import ClassVar
from unittest import mock

import nova.conf
from hosts import TwoHostsCase
from nova import exception, objects
from nova.compute import task_states
from nova.network import model
from nova_polyvisor.libvirt.pool import PoolError, VolumeSpec
from nova_polyvisor.libvirt.resize import Departures
from oslo_utils.fixture import uuidsentinel as uuids
from support import DISKS_POOL
from test_pool import MIB

CONF = nova.conf.CONF

#: Sizes in MiB.
GIB = 1024
DISKS = {"disk": GIB, "disk.local": GIB, "disk.swap": 64}


class MoveCase(TwoHostsCase):
    """Drives two drivers like nova's manager does."""

    def setUp(self):
        super().setUp()
        self.flags(remote_uri=CONF.libvirt.live_migration_uri, group="libvirt_storage")
        self.flags(live_migration_uri="qemu+tcp://%s.invalid/system", group="libvirt")

    def leave(self, **sizes):
        """Let the instance leave for the other host and a flavor with other sizes."""
        self.instance.old_flavor = self.instance.flavor
        self.instance.new_flavor = self.new_flavor(**sizes)
        self.instance.task_state = task_states.RESIZE_MIGRATING
        with self.here as driver:
            self.sent = driver.migrate_disk_and_power_off(
                self.context,
                self.instance,
                self.there.name,
                self.instance.new_flavor,
                model.NetworkInfo(),
                self.block_devices(),
            )

    def arrive(self):
        self.instance.host = self.there.name
        self.use_flavor(self.instance.new_flavor)
        self.instance.task_state = task_states.RESIZE_FINISH
        with self.there as driver:
            driver.finish_migration(
                self.context,
                self.migration(),
                self.instance,
                self.sent,
                model.NetworkInfo(),
                self.instance.image_meta,
                True,
                {},
                self.block_devices(),
            )
        self.instance.task_state = None

    def migration(self):
        return objects.Migration(
            source_compute=self.here.name, dest_compute=self.there.name, uuid=uuids.migration
        )

    def confirm(self):
        with self.here as driver:
            driver.confirm_migration(
                self.context, self.migration(), self.instance, model.NetworkInfo()
            )

    def revert(self):
        self.instance.task_state = task_states.RESIZE_REVERTING
        self.destroy_unless_shared(self.there, self.here)
        self.come_back()

    def destroy_unless_shared(self, host, other):
        """Destroy the instance on a host, and its disks if the other host has not the same."""
        with host as driver:
            mark = driver.check_instance_shared_storage_local(self.context, self.instance)
        with other as driver:
            shared = driver.check_instance_shared_storage_remote(self.context, mark)
        with host as driver:
            driver.check_instance_shared_storage_cleanup(self.context, mark)
            driver.destroy(
                self.context, self.instance, model.NetworkInfo(), self.block_devices(), not shared
            )

    def fail_at_volume(self, disk, error=PoolError):
        """Let the sending or copying of a volume fail once it has begun."""
        send = self.pool_class.send

        def fail(pool, name, target, new_name=None):
            if name == f"{uuids.instance}_{disk}":
                target.create(VolumeSpec(new_name or name, "raw", MIB))
                raise error(reason="out of space")
            send(pool, name, target, new_name)

        patch = mock.patch.object(self.pool_class, "send", fail)
        patch.start()
        self.addCleanup(mock.patch.stopall)
        return patch

    def crash_at_volume(self, disk, step=None):
        """Let nova-compute die in a step, once the sending or copying of a volume has begun."""

        class Crash(BaseException):
            def __init__(self, reason):
                pass

        sending = self.fail_at_volume(disk, Crash)
        with mock.patch.object(Departures, "_undo"):
            self.assertRaises(Crash, step or self.leave)
        sending.stop()

    def come_back(self):
        self.instance.host = self.here.name
        self.use_flavor(self.instance.old_flavor)
        with self.here as driver:
            driver.finish_revert_migration(
                self.context,
                self.instance,
                model.NetworkInfo(),
                self.migration(),
                self.block_devices(),
            )
        self.instance.task_state = None


class OwnPoolsTest(MoveCase):
    """Every host has a pool of its own."""

    sizes = (1, 1, 64)

    def test_migration_and_back_and_resize(self):
        self.assert_lives_on(self.here, DISKS)
        self.here.domain().destroy()
        self.write(self.here)

        self.leave()
        self.assertFalse(self.here.domain().isActive())
        self.arrive()
        self.assert_lives_on(self.there, DISKS)
        self.assert_written(self.there)
        self.there.domain().destroy()
        self.write(self.there, "disk.local")
        self.revert()
        self.assert_nothing_on(self.there)
        self.assert_lives_on(self.here, DISKS)
        self.assert_written(self.here)
        self.assertRaises(AssertionError, self.assert_written, self.here, "disk.local")

        self.leave(root_gb=2, ephemeral_gb=2, swap=32)
        self.arrive()
        self.assert_lives_on(self.there, {"disk": 2 * GIB, "disk.local": 2 * GIB, "disk.swap": 32})
        self.assert_written(self.there)
        self.assertEqual({**DISKS, "disk.config": 0}, self.here.disks())
        self.confirm()
        self.assert_nothing_on(self.here)
        self.assertTrue(self.there.domain().isActive())

    def test_migration_and_back_where_instances_path_is_shared(self):
        self.there.directory = self.here.directory
        self.leave()
        self.arrive()
        self.assert_lives_on(self.there, DISKS)
        self.revert()
        self.assert_lives_on(self.here, DISKS)
        self.assertEqual({}, self.there.disks())
        left = [name for name in os.listdir(self.here.directory) if uuids.instance in name]
        self.assertEqual([uuids.instance], left)

    def test_smaller_disks_are_refused_with_the_instance_as_it_was(self):
        for smaller in ({"root_gb": 0}, {"ephemeral_gb": 0}):
            refused = self.assertRaises(exception.InstanceFaultRollback, self.leave, **smaller)
            self.assertIn("resize disk down", str(refused.inner_exception))
        self.assertTrue(self.here.domain().isActive())
        self.assertEqual({}, self.there.disks())

    def test_volumes_of_the_instance_at_the_destination_are_left_alone(self):
        name = f"{uuids.instance}_disk"
        self.there.pool().create(VolumeSpec(name, "raw", 3 * MIB))
        refused = self.assertRaises(exception.InstanceFaultRollback, self.leave)
        self.assertIn(name, str(refused.inner_exception))
        self.assertTrue(self.here.domain().isActive())
        self.assertEqual({"disk": 3}, self.there.disks())

    def test_host_that_is_not_reached_is_refused_with_the_instance_as_it_was(self):
        os.unlink(os.path.join(self.links, self.there.name))
        refused = self.assertRaises(exception.InstanceFaultRollback, self.leave)
        self.assertIn(self.there.name, str(refused.inner_exception))
        self.assertTrue(self.here.domain().isActive())

    def test_failure_while_volumes_are_sent_leaves_the_instance_running(self):
        self.fail_at_volume("disk.local")
        self.assertRaises(exception.InstanceFaultRollback, self.leave)
        self.assert_lives_on(self.here, DISKS)
        self.assertEqual({}, self.there.disks())

    def test_crash_while_volumes_are_sent_is_undone_at_the_next_start(self):
        self.crash_at_volume("disk.local")
        self.assertIn("disk", self.there.disks())
        self.here.start_driver()
        self.come_back()
        self.assert_lives_on(self.here, DISKS)
        self.assert_nothing_on(self.there)

    def test_crash_after_all_is_sent_is_undone_at_the_next_start(self):
        self.leave()
        self.here.start_driver()
        self.come_back()
        self.assert_lives_on(self.here, DISKS)
        self.assert_nothing_on(self.there)

    def test_instance_whose_disks_are_files_is_refused(self):
        with self.here:
            open(os.path.join(CONF.instances_path, uuids.instance, "disk"), "x").close()
        refused = self.assertRaises(exception.InstanceFaultRollback, self.leave)
        self.assertIn("files of nova's own image backend", str(refused.inner_exception))
        self.assertTrue(self.here.domain().isActive())

    def test_disks_of_another_driver_are_refused(self):
        self.leave()
        self.sent = '[{"path": "/instances/disk", "type": "qcow2"}]'
        self.assertRaises(exception.ResizeError, self.arrive)


class SharedPoolTest(MoveCase):
    """Both hosts have the same pool."""

    shared_pool = True

    def test_migration_sends_nothing_and_comes_back(self):
        with mock.patch.object(self.pool_class, "send", side_effect=AssertionError):
            self.leave()
            self.arrive()
            self.assert_lives_on(self.there, {"disk": GIB})
            self.revert()
        self.assert_lives_on(self.here, {"disk": GIB})
        self.assertIsNone(self.there.domain())
        self.assertFalse(os.path.exists(os.path.join(self.there.directory, uuids.instance)))

    def test_resize_and_back_and_for_good(self):
        self.here.domain().destroy()
        self.write(self.here)
        self.leave(root_gb=2, swap=32)
        self.assertEqual(GIB, self.here.disks()["disk.before"])
        self.arrive()
        self.there.domain().destroy()
        self.write(self.there, "disk.swap")
        self.revert()
        self.assert_lives_on(self.here, {"disk": GIB})
        self.assert_written(self.here)

        self.leave(root_gb=2)
        self.arrive()
        self.confirm()
        self.assert_lives_on(self.there, {"disk": 2 * GIB})
        self.assert_written(self.there)
        self.assertIsNone(self.here.domain())

    def test_crash_while_copies_are_put_back_is_finished_by_a_hard_reboot(self):
        self.here.domain().destroy()
        self.write(self.here)
        self.leave(root_gb=2)
        self.arrive()
        self.crash_at_volume("disk.before", self.revert)
        self.assertNotEqual(GIB, self.here.disks().get("disk"))
        self.here.start_driver()
        self.instance.task_state = None
        with self.here as driver:
            driver.reboot(
                self.context,
                self.instance,
                model.NetworkInfo(),
                "HARD",
                self.block_devices(),
            )
        self.assert_lives_on(self.here, {"disk": GIB})
        self.assert_written(self.here)

    def test_evacuation_finds_the_volumes(self):
        self.here.domain().destroy()
        self.write(self.here)
        self.instance.host = self.there.name
        with self.there as driver:
            self.assertTrue(driver.capabilities["supports_evacuate"])
            self.assertTrue(driver.instance_on_disk(self.instance))
        self.boot(self.there)
        self.assert_lives_on(self.there, {"disk": GIB})
        self.assert_written(self.there)
        # The host that was lost comes back.
        self.destroy_unless_shared(self.here, self.there)
        self.assertIsNone(self.here.domain())
        self.assert_lives_on(self.there, {"disk": GIB})


class TwoPoolsTest(MoveCase):
    """The root disk's pool is every host's own; swap and the ephemeral disk are in a shared one."""

    sizes = (1, 1, 64)
    pools: ClassVar = {"disk.local": "scratch", "disk.swap": "scratch"}
    shared_pools = frozenset({"scratch"})

    def assert_scratch(self, disks):
        self.assertEqual(disks, dict(self.here.in_pool("scratch")))

    def test_each_disk_stays_in_its_pool_and_only_what_is_not_shared_is_sent(self):
        scratch: ClassVar = {"disk.local": GIB, "disk.swap": 64}
        self.here.domain().destroy()
        self.write(self.here)
        self.assert_scratch(scratch)
        self.leave()
        self.assert_scratch(scratch)
        self.arrive()
        self.assert_lives_on(self.there, DISKS)
        self.assert_written(self.there)
        self.assertEqual({"disk", "disk.config"}, set(dict(self.there.in_pool(DISKS_POOL))))
        self.revert()
        self.assert_scratch(scratch)
        self.assertEqual([], self.there.in_pool(DISKS_POOL))
        self.assert_lives_on(self.here, DISKS)
        self.assert_written(self.here)

        self.leave(root_gb=2, ephemeral_gb=2)
        self.assertEqual(GIB, self.here.disks()["disk.local.before"])
        self.assertNotIn("disk.before", self.here.disks())
        self.arrive()
        self.assertEqual(2 * GIB, self.there.disks()["disk.local"])
        self.revert()
        self.assert_lives_on(self.here, DISKS)
        self.assert_scratch(scratch)

        self.leave(root_gb=2, ephemeral_gb=2)
        self.arrive()
        self.confirm()
        self.assertEqual([], self.here.in_pool(DISKS_POOL))
        larger = {"disk": 2 * GIB, "disk.local": 2 * GIB, "disk.swap": 64}
        self.assert_lives_on(self.there, larger)
        self.assert_written(self.there)

    def test_crash_while_volumes_are_sent_or_saved_is_undone_at_the_next_start(self):
        for disk in ("disk", "disk.local"):
            self.crash_at_volume(disk, lambda: self.leave(ephemeral_gb=2))
            self.here.start_driver()
            self.come_back()
            self.assert_lives_on(self.here, DISKS)
            self.assertEqual([], self.there.in_pool(DISKS_POOL))

    def test_pool_that_the_other_host_lacks_is_refused_with_the_instance_as_it_was(self):
        self.there.pools.host.get_connection().storagePoolLookupByName("scratch").destroy()
        refused = self.assertRaises(exception.InstanceFaultRollback, self.leave)
        self.assertIn("scratch", str(refused.inner_exception))
        self.assertTrue(self.here.domain().isActive())
        self.assert_lives_on(self.here, DISKS)

    def test_pool_that_the_other_host_does_not_name_is_refused_there(self):
        self.leave()
        self.flags(pools={}, group="libvirt_storage")
        self.there.start_driver()
        error = self.assertRaises(exception.ResizeError, self.arrive)
        self.assertIn("disk.local", str(error))


if __name__ == "__main__":
    unittest.main()
