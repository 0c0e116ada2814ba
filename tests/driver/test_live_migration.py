# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Live migration of real guests between two hosts, with pools of their own and a shared one."""

import json
import os
import unittest
from typing import ClassVar
from unittest import mock

import libvirt
from hosts import TwoHostsCase
from nova import exception, objects
from nova.compute import task_states
from nova.network import model
from nova_polyvisor.libvirt.pool import Pool, PoolError, VolumeSpec
from oslo_utils.fixture import uuidsentinel as uuids
from support import DISKS_POOL
from test_pool import MIB, qemu_info

#: Sizes in MiB.
GIB = 1024
DISKS = {"disk": GIB, "disk.local": GIB, "disk.swap": 64}


class LiveCase(TwoHostsCase):
    """Drives two drivers like nova's manager does."""

    def setUp(self):
        super().setUp()
        self.stub_out("nova.virt.libvirt.driver.libvirt_migrate.save_stats", lambda *_a: None)

    def migrate(self, source=None, dest=None):
        """Migrate the guest, and clean up afterwards; returns nova's data of the migration."""
        source, dest = source or self.here, dest or self.there
        data = self.prepare(source, dest)
        self.assertEqual("done", self.migrate_only(data, source, dest))
        self.finish(source, dest, data)
        return data

    def migrate_only(self, data, source=None, dest=None):
        """Migrate the guest, without what nova does before and after; returns how it ended."""
        source, dest = source or self.here, dest or self.there
        after = mock.Mock()
        with source as driver:
            driver.live_migration(
                self.context,
                self.instance,
                dest.name,
                lambda *_arguments: after("done"),
                lambda *_arguments, **_options: after("failed"),
                data.block_migration,
                data,
            )
        return after.call_args.args[0]

    def prepare(self, source, dest):
        """Do what comes before memory is copied."""
        self.instance.task_state = task_states.MIGRATING
        data = self.check(source, dest)
        disks = None
        if data.block_migration:
            with source as driver:
                disks = driver.get_instance_disk_info(self.instance, self.block_devices())
        with dest as driver:
            data = driver.pre_live_migration(
                self.context,
                self.instance,
                self.block_devices(),
                model.NetworkInfo(),
                disks,
                data,
            )
        data.migration = objects.Migration(uuid=uuids.migration, status="running", id=1)
        return data

    def check(self, source, dest):
        """Do nova's checks at both ends."""
        stats = {"disk_available_least": 100, "free_disk_gb": 100, "cpu_info": ""}
        with dest as driver:
            data = driver.check_can_live_migrate_destination(
                self.context, self.instance, stats, stats, None, False
            )
        data.is_volume_backed = False
        try:
            with source as driver:
                return driver.check_can_live_migrate_source(
                    self.context, self.instance, data, self.block_devices()
                )
        finally:
            with dest as driver:
                driver.cleanup_live_migration_destination_check(self.context, data)

    def finish(self, source, dest, data):
        """Do what comes after the guest runs at the destination."""
        self.clean_up(source, data)
        with dest as driver:
            driver.post_live_migration_at_destination(
                self.context, self.instance, model.NetworkInfo()
            )
        self.instance.host = dest.name
        self.instance.task_state = None

    def clean_up(self, source, data):
        """Clean up at the source, which nova does not ask for if the directory is shared."""
        if data.is_shared_instance_path:
            return
        with source as driver:
            driver.cleanup(
                self.context,
                self.instance,
                model.NetworkInfo(),
                self.block_devices(),
                destroy_disks=not data.is_shared_block_storage,
                migrate_data=data,
            )

    def roll_back(self, dest, data):
        shared = data.is_shared_block_storage or data.is_shared_instance_path
        with dest as driver:
            driver.rollback_live_migration_at_destination(
                self.context,
                self.instance,
                model.NetworkInfo(),
                self.block_devices(),
                destroy_disks=not shared,
                migrate_data=data,
            )
        self.instance.task_state = None


class OwnPoolsTest(LiveCase):
    """Every host has a pool of its own."""

    sizes = (1, 1, 64)

    def setUp(self):
        super().setUp()
        self.here.domain().destroy()
        self.write(self.here)
        self.here.domain().create()

    def test_there_and_back_and_a_hard_reboot(self):
        data = self.migrate()
        self.assertTrue(data.block_migration)
        self.assert_nothing_on(self.here)
        self.assert_lives_on(self.there, DISKS)
        self.assert_written(self.there)
        with self.there as driver:
            config = driver._host.get_guest(self.instance).get_config()
            known = {
                disk.target_dev: disk.source_volume
                for disk in config.devices
                if disk.root_name == "disk"
            }
        self.assertEqual(f"{uuids.instance}_disk", known["vda"])

        self.migrate(self.there, self.here)
        self.assert_nothing_on(self.there)
        self.assert_lives_on(self.here, DISKS)
        self.assert_written(self.here)
        with self.here as driver:
            driver.reboot(
                self.context, self.instance, model.NetworkInfo(), "HARD", self.block_devices()
            )
        self.assertNotIn("<disk type='file'", self.here.domain().XMLDesc())
        self.assert_lives_on(self.here, DISKS)

    def test_overlay_has_only_what_the_guest_has_written(self):
        self.migrate()
        path = os.path.join(self.there.pools.directory, f"{uuids.instance}_disk")
        self.assertLess(qemu_info(path)["actual-size"], 3 * MIB)

    def test_failed_migration_leaves_nothing_at_the_destination(self):
        data = self.prepare(self.here, self.there)
        self.assertEqual(DISKS, self.there.disks())
        self.roll_back(self.there, data)
        self.assert_nothing_on(self.there)
        self.assert_lives_on(self.here, DISKS)

    def test_migration_that_fails_on_the_way_leaves_the_guest_running_here(self):
        data = self.prepare(self.here, self.there)
        failed = mock.Mock()
        full = PoolError(reason="the pool is full")
        with self.here as driver, mock.patch.object(Pool, "send", side_effect=full):
            self.assertRaises(
                PoolError,
                driver.live_migration,
                self.context,
                self.instance,
                self.there.name,
                mock.Mock(side_effect=AssertionError),
                failed,
                True,
                data,
            )
        failed.assert_called_once()
        self.roll_back(self.there, data)
        self.assert_nothing_on(self.there)
        self.assert_lives_on(self.here, DISKS)
        self.assert_written(self.here)

    def test_pool_that_takes_no_volume_is_refused_before_anything_has_changed(self):
        self.there.pools.pool.destroy()
        error = self.assertRaises(
            exception.MigrationPreCheckError, self.check, self.here, self.there
        )
        self.assertIn("nova-disks-pool", str(error))
        self.assertEqual(["_base"], os.listdir(self.there.directory))

    def test_shared_instances_path_without_a_shared_pool_is_refused(self):
        self.there.directory = self.here.directory
        error = self.assertRaises(
            exception.MigrationPreCheckError, self.check, self.here, self.there
        )
        self.assertIn("share instances_path", str(error))
        self.assertEqual({}, self.there.disks())

    def test_file_that_the_guest_does_not_use_is_no_disk(self):
        open(os.path.join(self.here.directory, uuids.instance, "disk"), "x").close()
        self.migrate()
        self.assert_nothing_on(self.here)
        self.assert_lives_on(self.there, DISKS)

    def test_volumes_of_the_instance_at_the_destination_are_left_alone(self):
        self.there.pool().create(VolumeSpec(f"{uuids.instance}_disk", "raw", 3 * MIB))
        data = self.check(self.here, self.there)
        self.stub_out(f"{__name__}.LiveCase.check", lambda *_arguments: data)
        self.assertRaises(exception.DestinationDiskExists, self.prepare, self.here, self.there)
        self.roll_back(self.there, data)
        self.assertEqual({"disk": 3}, self.there.disks())


class OneDiskTest(LiveCase):
    """Every host has a pool of its own, and the instance one disk."""

    def test_destination_whose_new_instances_have_no_volumes_takes_them(self):
        self.flags(enabled=False, group="libvirt_storage")
        data = self.prepare(self.here, self.there)
        self.assertEqual({"disk": GIB}, self.there.disks())
        files = os.listdir(os.path.join(self.there.directory, uuids.instance))
        self.assertNotIn("disk", files)
        self.assertEqual("done", self.migrate_only(data))
        self.finish(self.here, self.there, data)
        self.assert_lives_on(self.there, {"disk": GIB})
        self.assert_nothing_on(self.here)


class SharedPoolTest(LiveCase):
    """Both hosts have the same pool."""

    shared_pool = True
    disk_format = "qcow2"

    def setUp(self):
        super().setUp()
        # Libvirt does not know that the directory of both pools is one.
        for host in (self.here, self.there):
            host.driver._live_migration_flags |= libvirt.VIR_MIGRATE_UNSAFE

    def test_there_and_back_copies_nothing(self):
        with mock.patch.object(self.pool_class, "send", side_effect=AssertionError):
            data = self.migrate()
            self.assertFalse(data.block_migration)
            self.assertIsNone(self.here.domain())
            self.assert_lives_on(self.there, {"disk": GIB})
            self.migrate(self.there, self.here)
        self.assertIsNone(self.there.domain())
        self.assert_lives_on(self.here, {"disk": GIB})

    def test_failed_migration_leaves_the_volumes(self):
        data = self.prepare(self.here, self.there)
        self.roll_back(self.there, data)
        self.assert_lives_on(self.here, {"disk": GIB})

    def test_formats_of_disks_are_known_at_the_destination(self):
        self.migrate()
        record = os.path.join(self.there.directory, uuids.instance, "disk.info")
        with open(record) as file:
            formats = json.load(file)
        path = self.there.pool().volume(f"{uuids.instance}_disk").path
        self.assertEqual(self.disk_format, formats[path])


class TwoPoolsTest(LiveCase):
    """The root disk's pool is every host's own; swap and the ephemeral disk are in a shared one."""

    sizes = (1, 1, 64)
    pools: ClassVar = {"disk.local": "scratch", "disk.swap": "scratch"}
    shared_pools = frozenset({"scratch"})
    scratch: ClassVar = {"disk.local": GIB, "disk.swap": 64}

    def setUp(self):
        super().setUp()
        for host in (self.here, self.there):
            host.driver._block_migration_flags |= libvirt.VIR_MIGRATE_UNSAFE

    def test_there_and_back_copies_what_is_not_shared(self):
        data = self.migrate()
        self.assertTrue(data.block_migration)
        self.assertIsNone(self.here.domain())
        self.assertEqual([], self.here.in_pool(DISKS_POOL))
        self.assertEqual(self.scratch, dict(self.here.in_pool("scratch")))
        self.assert_lives_on(self.there, DISKS)
        self.assertEqual({"disk", "disk.config"}, set(dict(self.there.in_pool(DISKS_POOL))))
        self.migrate(self.there, self.here)
        self.assertEqual([], self.there.in_pool(DISKS_POOL))
        self.assert_lives_on(self.here, DISKS)

    def test_failed_migration_leaves_what_is_shared(self):
        data = self.prepare(self.here, self.there)
        self.assertEqual(["disk"], list(dict(self.there.in_pool(DISKS_POOL))))
        # nova-compute is killed and starts again.
        self.there.start_driver()
        self.roll_back(self.there, data)
        self.assertEqual([], self.there.in_pool(DISKS_POOL))
        self.assert_lives_on(self.here, DISKS)

    def test_restart_on_the_way_deletes_nothing_that_the_guest_uses(self):
        for host in (self.here, self.there):
            data = self.prepare(self.here, self.there)
            self.assertEqual("done", self.migrate_only(data))
            host.start_driver()
            self.finish(self.here, self.there, data)
            self.assert_lives_on(self.there, DISKS)
            self.there.domain().destroy()
            self.delete_own(self.here)
            self.there.domain().create()
            self.here, self.there = self.there, self.here
            for each in (self.here, self.there):
                each.driver._block_migration_flags |= libvirt.VIR_MIGRATE_UNSAFE

    def delete_own(self, host):
        """Delete what a host that was restarted has left in its own pool."""
        for name in host.pool().names():
            host.pool().delete(name)

    def test_instance_is_deleted_whole_where_the_end_of_its_coming_was_missed(self):
        data = self.prepare(self.here, self.there)
        self.assertEqual("done", self.migrate_only(data))
        self.clean_up(self.here, data)
        # Nova takes the instance for the destination's without having called it.
        self.instance.host = self.there.name
        self.there.start_driver()
        self.instance.task_state = task_states.DELETING
        with self.there as driver:
            driver.destroy(
                self.context, self.instance, model.NetworkInfo(), self.block_devices(), True
            )
        self.assert_nothing_on(self.here)
        self.assert_nothing_on(self.there)

    def test_disk_goes_to_the_pool_that_it_is_in_wherever_new_ones_are_made(self):
        self.flags(pools={"disk": "scratch"}, group="libvirt_storage")
        for host in (self.here, self.there):
            host.start_driver()
            host.driver._block_migration_flags |= libvirt.VIR_MIGRATE_UNSAFE
        self.migrate()
        self.assert_lives_on(self.there, DISKS)
        self.assertEqual({"disk", "disk.config"}, set(dict(self.there.in_pool(DISKS_POOL))))

    def test_pool_that_the_destination_does_not_name_is_refused(self):
        data = self.check(self.here, self.there)
        with self.here as driver:
            disks = driver.get_instance_disk_info(self.instance).replace(DISKS_POOL, "third")
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
        self.assertIn("third", str(error))
        self.assertEqual([], self.there.in_pool(DISKS_POOL))


if __name__ == "__main__":
    unittest.main()
