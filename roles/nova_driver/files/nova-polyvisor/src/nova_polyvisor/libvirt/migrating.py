# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Nova's libvirt driver where it migrates running instances, with volumes for disks.

Nova's own steps stay as they are; what becomes of the disks is in ``live``.
"""

import json
from typing import Any

import nova.conf
from nova import exception
from nova.i18n import _
from nova.virt.libvirt import utils as libvirt_utils

from nova_polyvisor.libvirt import live
from nova_polyvisor.libvirt.config import VolumeDisk
from nova_polyvisor.libvirt.legacy import Home, LegacyDisk
from nova_polyvisor.libvirt.moving import MovingDriver
from nova_polyvisor.libvirt.pool import Pool
from nova_polyvisor.libvirt.remote import PoolThere
from nova_polyvisor.libvirt.storage import disk_name, volume_name

CONF = nova.conf.CONF


class MigratingDriver(MovingDriver):
    """The part of the driver that migrates running instances."""

    # Storage that hosts share

    def _create_shared_storage_test_file(self, instance: Any) -> str:
        """Mark nova's directory of instances and the pools with the same token.

        :raises MigrationPreCheckError: a pool takes no volume
        """
        token = super()._create_shared_storage_test_file(instance)
        try:
            self._sharing.mark_all(token)
        except exception.NovaException as error:
            super()._cleanup_shared_storage_test_file(token)
            raise exception.MigrationPreCheckError(reason=str(error)) from error
        return token

    def _cleanup_shared_storage_test_file(self, filename: str) -> None:
        super()._cleanup_shared_storage_test_file(filename)
        self._sharing.unmark_all(filename)

    def _is_shared_block_storage(
        self, instance: Any, dest_check_data: Any, block_device_info: Any = None
    ) -> bool:
        """Tell whether the other host of a live migration shares the pools, or needs none."""
        if self._goes_into_pools(instance):
            return self._shares_legacy_disks(instance, dest_check_data)
        pools = self._storage.pools_of(instance.uuid)
        shared = self._look(instance, dest_check_data.filename, pools)
        return (bool(pools) and shared) or super()._is_shared_block_storage(
            instance, dest_check_data, block_device_info
        )

    def _look(self, instance: Any, token: str, pools: list[Pool]) -> bool:
        """Find out which of the pools the other host has; tell whether it has all of them.

        :raises MigrationPreCheckError: disks would have to be copied that QEMU cannot copy
        """
        has_all = self._sharing.look(instance, token, pools)
        for pool in pools:
            if pool.name not in self._sharing.shared(instance):
                live.refuse_to_copy(pool)
        return has_all

    def _shares_legacy_disks(self, instance: Any, dest_check_data: Any) -> bool:
        """Tell whether the other host of a live migration has an instance's legacy disks, too.

        Which of the pools that the disks are to lie in it has is kept in mind.
        """
        disks = self._transition.disks(instance)
        pools = {pool.name: pool for pool in (self._storage.pool_for(d.name) for d in disks)}
        self._look(instance, dest_check_data.filename, list(pools.values()))
        if _are_on_rbd(disks):
            novas = self._legacy.backend.backend().is_shared_block_storage()
            return bool(novas and dest_check_data.image_type == CONF.libvirt.images_type)
        return bool(dest_check_data.is_shared_instance_path and all(disk.is_file for disk in disks))

    # Nova's steps

    def _goes_into_pools(self, instance: Any) -> bool:
        """Tell whether a live migration is to move an instance's legacy disks into pools."""
        legacy = self._legacy.home(instance) is Home.NOVA
        return legacy and self._transition.is_due(instance)

    def get_instance_disk_info(self, instance: Any, block_device_info: Any = None) -> str:
        """Return nova's description of the disks that go to the host of a live migration, as JSON.

        Each has the names of its ``pool`` and ``volume``; those that the other host shares are
        left out.
        """
        shared = self._sharing.shared(instance)
        disks = self._get_instance_disk_info(instance, block_device_info)
        if self._goes_into_pools(instance):
            own = self._transition.disks(instance)
            return json.dumps(live.as_volumes(self._storage, instance, disks, own))
        return json.dumps([disk for disk in disks if disk.get("pool") not in shared])

    def check_can_live_migrate_source(
        self, context: Any, instance: Any, dest_check_data: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Refuse a live migration that cannot be done, before anything has changed.

        :raises MigrationPreCheckError: the hosts share nova's directory of instances and not the
            pool, or the disks are such as are not moved
        """
        self._transition.recover(instance)
        into_pools = self._goes_into_pools(instance)
        if into_pools:
            try:
                disks = self._transition.disks(instance)
            except exception.InternalError as error:
                raise exception.MigrationPreCheckError(reason=str(error)) from error
        data = super().check_can_live_migrate_source(
            context, instance, dest_check_data, *args, **kwargs
        )
        if data.is_shared_instance_path and not data.is_shared_block_storage:
            raise exception.MigrationPreCheckError(
                reason=_(
                    "the hosts share instances_path and not the storage pools %s: share both, the "
                    "pools, or nothing"
                )
                % ", ".join(pool.name for pool in self._storage.pools)
            )
        if data.block_migration and into_pools and _are_on_rbd(disks):
            raise exception.MigrationPreCheckError(
                reason=_(
                    "the other host does not use RBD, and disks on RBD move into a pool only while "
                    "the instance is stopped: reboot it hard first"
                )
            )
        return data

    def pre_live_migration(
        self,
        context: Any,
        instance: Any,
        block_device_info: Any,
        network_info: Any,
        disk_info: str | None,
        migrate_data: Any,
    ) -> Any:
        """Make the volumes that a guest is going to be copied into.

        :raises MigrationError: a disk cannot be made here as it is at the source
        """
        coming = json.loads(disk_info or "[]")
        if not CONF.libvirt_storage.enabled and not any("volume" in disk for disk in coming):
            return super().pre_live_migration(
                context, instance, block_device_info, network_info, disk_info, migrate_data
            )
        disks = live.filled_by_qemu(coming)
        self._arrivals.expect(instance, coming)
        migrate_data = super().pre_live_migration(
            context, instance, block_device_info, network_info, None, migrate_data
        )
        self._arrivals.make_empty(instance, disks)
        over_images = [
            {**disk, "path": disk_name(instance.uuid, disk["volume"])}
            for disk in disks
            if disk["backing_file"]
        ]
        directory = libvirt_utils.get_instance_path(instance)
        self._create_images_and_backing(
            context, instance, directory, over_images, fallback_from_host=instance.host
        )
        return migrate_data

    def _live_migration_copy_disk_paths(
        self, context: Any, instance: Any, guest: Any
    ) -> tuple[list[str], list[str]]:
        """Return the paths of the disks that QEMU copies, and their names in the guest."""
        paths, devices = super()._live_migration_copy_disk_paths(context, instance, guest)
        shared = self._sharing.shared(instance)
        for disk in guest.get_all_disks():
            if (
                isinstance(disk, VolumeDisk)
                and disk.source_pool not in shared
                and not (disk.readonly or disk.shareable)
            ):
                paths.append(disk.source_path)
                devices.append(disk.target_dev)
        return paths, devices

    def _live_migration_operation(
        self,
        context: Any,
        instance: Any,
        dest: str,
        block_migration: bool,
        migrate_data: Any,
        guest: Any,
        device_names: list[str],
    ) -> None:
        """Migrate a guest, having sent what QEMU does not copy."""
        into_pools = self._goes_into_pools(instance)
        if migrate_data.block_migration and (into_pools or self._storage.pools_of(instance.uuid)):
            with self._pools_at(migrate_data.target_connect_addr or dest) as there:
                if into_pools:
                    self._send_legacy(instance, guest, there)
                else:
                    live.send_rest(self._storage, instance, self._sharing.shared(instance), there)
                disks = [*guest.get_all_disks(), *guest.new_volumes.values()]
                guest.paths_at_destination = {
                    disk.target_dev: there(disk.source_pool).volume_path(disk.source_volume)
                    for disk in disks
                    if isinstance(disk, VolumeDisk) and disk.target_dev in device_names
                }
        elif into_pools:
            self._link_legacy(instance, guest)
        super()._live_migration_operation(
            context, instance, dest, block_migration, migrate_data, guest, device_names
        )

    def _send_legacy(self, instance: Any, guest: Any, there: PoolThere) -> None:
        """Send the legacy disks that the destination has not made, and name all as they are there.

        :raises PoolError: a pool there takes one not
        """
        disks = self._transition.disks(instance)
        guest.copied_whole = live.are_copied_whole(instance, disks)
        moved = {}
        for disk in disks:
            pool, name = self._storage.pool_for(disk.name), volume_name(instance.uuid, disk.name)
            moved[disk.source] = [pool.name, name]
            if name not in there(pool.name).names(name):
                self._transition.send(instance, disk, there(pool.name), name)
        live.become_volumes(guest, moved, lambda pool, name: there(pool).volume_path(name))
        for volume in guest.new_volumes.values():
            volume.driver_format = live.format_there(volume.driver_format)

    def _link_legacy(self, instance: Any, guest: Any) -> None:
        """Give legacy disks names in pools that the destination shares, if that can be done."""
        disks = self._transition.disks(instance)
        pools = {self._storage.pool_for(disk.name).name for disk in disks}
        if _are_on_rbd(disks) or not pools <= self._sharing.shared(instance):
            return
        live.become_volumes(guest, self._transition.link(instance), self._storage.path)
        guest.paths_at_destination = {
            target: self._storage.path(disk.source_pool, disk.source_volume)
            for target, disk in guest.new_volumes.items()
        }

    def post_live_migration_at_destination(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Take a guest that has come here for this host's own."""
        self._transition.recover(instance)
        self._arrivals.finish(instance, self._host.get_guest(instance))
        super().post_live_migration_at_destination(context, instance, *args, **kwargs)

    def rollback_live_migration_at_source(
        self, context: Any, instance: Any, migrate_data: Any
    ) -> None:
        """Take a guest that has stayed here for this host's own."""
        self._transition.recover(instance)
        super().rollback_live_migration_at_source(context, instance, migrate_data)

    def rollback_live_migration_at_destination(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any,
        destroy_disks: bool = True,
        migrate_data: Any = None,
    ) -> None:
        """Clean up after a live migration that has failed; only what it made here is deleted."""
        made_here = self._arrivals.own(instance) is not None or instance in self._legacy
        super().rollback_live_migration_at_destination(
            context,
            instance,
            network_info,
            block_device_info,
            destroy_disks=destroy_disks and made_here,
            migrate_data=migrate_data,
        )
        self._arrivals.forget(instance)


def _are_on_rbd(disks: list[LegacyDisk]) -> bool:
    """Tell whether some of an instance's legacy disks are RBD images."""
    return any(not (disk.is_file or disk.is_device) for disk in disks)
