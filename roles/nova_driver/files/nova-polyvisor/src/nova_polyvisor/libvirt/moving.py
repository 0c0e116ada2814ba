# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Nova's libvirt driver where it moves instances to other hosts and sizes, with volumes for disks.

Nova's own steps stay as they are; what becomes of the volumes is in ``resize`` and ``live``.
"""

import contextlib
import json
import os
from collections.abc import Collection, Iterator
from typing import Any

import libvirt
import nova.conf
from nova import block_device, exception
from nova.compute import power_state, task_states
from nova.i18n import _
from nova.virt import driver, hardware
from nova.virt.libvirt import driver as libvirt_driver
from nova.virt.libvirt import utils as libvirt_utils
from oslo_utils import excutils, netutils

from nova_polyvisor.libvirt import live, resize, sharing
from nova_polyvisor.libvirt.config import VolumeDisk
from nova_polyvisor.libvirt.pool import PoolError
from nova_polyvisor.libvirt.remote import PoolThere, pools_at
from nova_polyvisor.libvirt.storage import Storage, disk_name, volume_name
from nova_polyvisor.libvirt.transition import Transition

CONF = nova.conf.CONF


class MovingDriver(libvirt_driver.LibvirtDriver):
    """The part of the driver that moves instances."""

    _storage: Storage
    _transition: Transition

    def _prepare_moves(self) -> None:
        """Set up what moves instances; ``_storage`` and ``_host`` are there."""
        self._departures = resize.Departures(self._storage, self._pools_at)
        self._sharing = sharing.Sharing(self._storage)
        self._arrivals = live.Arrivals(self._storage)

    def _refuse_files(self, instance: Any) -> None:
        """Refuse to move an instance whose disks are files.

        :raises ResizeError: they are
        """
        if has_files(instance):
            raise exception.ResizeError(
                reason=_("the disks of this instance are files of nova's own image backend")
            )

    # Moves to another host or size: nova's own steps, with volumes in place of files

    def _pools_at(self, dest: str) -> contextlib.AbstractContextManager[PoolThere]:
        """Give the pools of another host, known by its address or name."""
        uri = CONF.libvirt_storage.remote_uri
        uri = uri % netutils.escape_ipv6(dest) if uri else self._live_migration_uri(dest)
        return pools_at(self._host, uri)

    def migrate_disk_and_power_off(
        self,
        context: Any,
        instance: Any,
        dest: str,
        flavor: Any,
        network_info: Any,
        block_device_info: Any = None,
        timeout: int = 0,
        retry_interval: int = 0,
    ) -> str:
        """Shut an instance down and send its volumes to another host, or keep copies of them.

        :param dest: address of the other host, or this one's
        :returns: what ``finish_migration`` needs to know
        :raises InstanceFaultRollback: it cannot be done; the instance is as it was
        """
        with _rolling_back():
            self._check_may_leave(instance, flavor, block_device_info)
            away = dest if dest != self.get_host_ip_addr() else None
            own = self._departures.check(instance, away, self._transition.is_due(instance))
        was_running = self.get_info(instance).state == power_state.RUNNING
        self.power_off(instance, timeout, retry_interval)
        directory = libvirt_utils.get_instance_path(instance)
        self._cleanup_failed_instance_base(f"{directory}_resize")
        with _rolling_back():
            try:
                self._transition.move(instance)
                save = _other_disks(instance, flavor)
                sent = self._departures.leave(instance, away, own, save)
            except (exception.NovaException, libvirt.libvirtError, OSError):
                with excutils.save_and_reraise_exception():
                    if was_running:
                        self.power_on(context, instance, network_info, block_device_info)
        self.unplug_vifs(instance, network_info)
        for disk in driver.block_device_info_get_mapping(block_device_info):
            self._disconnect_volume(context, disk["connection_info"], instance)
        os.rename(directory, f"{directory}_resize")
        return sent

    def _check_may_leave(self, instance: Any, flavor: Any, block_device_info: Any) -> None:
        """Refuse what nova refuses for its own disks, and disks that are no volumes.

        :raises ResizeError: the instance cannot be moved or resized
        """
        if not self._transition.is_due(instance):
            self._refuse_files(instance)
        old = instance.flavor
        ephemeral = block_device.get_bdm_ephemeral_disk_size(
            driver.block_device_info_get_ephemerals(block_device_info)
        )
        root_down = flavor.root_gb < old.root_gb
        if (root_down and not self._is_booted_from_volume(block_device_info)) or (
            flavor.ephemeral_gb < (ephemeral or old.ephemeral_gb)
        ):
            raise exception.ResizeError(reason=_("Unable to resize disk down."))
        if hardware.get_vtpm_constraint(old, instance.image_meta):
            raise exception.ResizeError(
                reason=_("this driver neither resizes nor cold-migrates an instance with a vTPM")
            )

    def finish_migration(
        self,
        context: Any,
        migration: Any,
        instance: Any,
        disk_info: str,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Start an instance from the volumes that have come here, grown to its new flavor.

        :raises ResizeError: what has come are no volumes; they stay where the other host keeps them
        """
        resize.arrive(self._storage, instance, disk_info)
        super().finish_migration(context, migration, instance, "[]", *args, **kwargs)

    def finish_revert_migration(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Start an instance again from the volumes that it had before it left."""
        self._departures.come_back(instance)
        # In an instances_path that both hosts share nova puts the other's directory aside only.
        self._cleanup_failed_instance_base(f"{libvirt_utils.get_instance_path(instance)}_del")
        super().finish_revert_migration(context, instance, *args, **kwargs)

    def confirm_migration(
        self, context: Any, migration: Any, instance: Any, network_info: Any
    ) -> None:
        """Delete what an instance that lives elsewhere, or is larger now, has left here."""
        self._departures.confirm(instance)
        super().confirm_migration(context, migration, instance, network_info)

    def delete_instance_files(self, instance: Any) -> bool:
        """Delete an instance's directory, and its volumes if nova has deleted the instance."""
        if instance.deleted:
            self._storage.delete(instance.uuid, keep=self._not_to_delete(instance))
        return super().delete_instance_files(instance)

    # Storage that hosts share: nova looks for its own files, the volumes lie in the pool

    def instance_on_disk(self, instance: Any) -> bool:
        """Tell whether an instance that is evacuated to here has its root disk here already.

        Other disks that are here are used, too, and those that are not are made anew.
        """
        self._storage.refresh()
        found = {volume.name for volume in self._storage.volumes_of(instance.uuid)}
        return volume_name(instance.uuid, "disk") in found or bool(found and not instance.image_ref)

    def check_instance_shared_storage_local(self, context: Any, instance: Any) -> dict[str, Any]:
        """Mark this host's pools, for another host to look for the marks in its own."""
        return self._sharing.ask(instance)

    def check_instance_shared_storage_remote(self, context: Any, data: dict[str, Any]) -> bool:
        """Tell whether this host's pools have the marks that another host has made in its own."""
        return self._sharing.answer(data)

    def check_instance_shared_storage_cleanup(self, context: Any, data: dict[str, Any]) -> None:
        """Take the marks away."""
        self._sharing.end(data)

    def _not_to_delete(self, instance: Any) -> Collection[str]:
        """Return the names of the pools in which an instance's volumes are another host's."""
        own = self._arrivals.own(instance)
        if own is not None:
            return [pool.name for pool in self._storage.pools if pool.name not in own]
        leaving = instance.task_state in (task_states.RESIZE_REVERTING, task_states.MIGRATING)
        if leaving or instance.host != CONF.host:
            return self._sharing.shared(instance)
        return ()

    def _create_shared_storage_test_file(self, instance: Any) -> str:
        """Mark nova's directory of instances and the pools with the same token.

        :raises MigrationPreCheckError: a pool takes no volume
        """
        token = super()._create_shared_storage_test_file(instance)
        try:
            self._sharing.mark_all(token)
        except PoolError as error:
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
        pools = self._storage.pools_of(instance.uuid)
        shared = self._sharing.look(instance, dest_check_data.filename, pools)
        for pool in pools:
            if pool.name not in self._sharing.shared(instance):
                live.refuse_to_copy(pool)
        return (bool(pools) and shared) or super()._is_shared_block_storage(
            instance, dest_check_data, block_device_info
        )

    # Live migration

    def get_instance_disk_info(self, instance: Any, block_device_info: Any = None) -> str:
        """Return nova's description of the disks that go to the host of a live migration, as JSON.

        Each has the names of its ``pool`` and ``volume``; those that the other host shares are
        left out.
        """
        shared = self._sharing.shared(instance)
        disks = self._get_instance_disk_info(instance, block_device_info)
        return json.dumps([disk for disk in disks if disk.get("pool") not in shared])

    def check_can_live_migrate_source(
        self, context: Any, instance: Any, dest_check_data: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Refuse a live migration that cannot be done, before anything has changed.

        :raises MigrationPreCheckError: the disks are no volumes, or the hosts share nova's directory
            of instances and not the pool
        """
        try:
            self._refuse_files(instance)
        except exception.ResizeError as error:
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
        if migrate_data.block_migration:
            with self._pools_at(migrate_data.target_connect_addr or dest) as there:
                live.send_rest(self._storage, instance, self._sharing.shared(instance), there)
                guest.paths_at_destination = {
                    disk.target_dev: there(disk.source_pool).volume_path(disk.source_volume)
                    for disk in guest.get_all_disks()
                    if isinstance(disk, VolumeDisk) and disk.target_dev in device_names
                }
        super()._live_migration_operation(
            context, instance, dest, block_migration, migrate_data, guest, device_names
        )

    def post_live_migration_at_destination(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Take a guest that has come here for this host's own."""
        self._arrivals.finish(instance, self._host.get_guest(instance))
        super().post_live_migration_at_destination(context, instance, *args, **kwargs)

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
        super().rollback_live_migration_at_destination(
            context,
            instance,
            network_info,
            block_device_info,
            destroy_disks=destroy_disks and self._arrivals.own(instance) is not None,
            migrate_data=migrate_data,
        )
        self._arrivals.forget(instance)


@contextlib.contextmanager
def _rolling_back() -> Iterator[None]:
    """Turn an error into one after which nova leaves the instance as it was."""
    try:
        yield
    except (exception.NovaException, libvirt.libvirtError, OSError) as error:
        if not isinstance(error, exception.ResizeError):
            error = exception.ResizeError(reason=str(error))
        raise exception.InstanceFaultRollback(error) from error


def _other_disks(instance: Any, flavor: Any) -> bool:
    """Tell whether a flavor has other disks than the instance's."""
    sizes = ("root_gb", "ephemeral_gb", "swap")
    return any(flavor[size] != instance.flavor[size] for size in sizes)


def has_files(instance: Any) -> bool:
    """Tell whether an instance's disks are files of nova's own image backends."""
    return os.path.exists(os.path.join(libvirt_utils.get_instance_path(instance), "disk"))
