# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Nova's libvirt driver where it moves instances to other hosts and sizes, with volumes for disks.

Nova's own steps stay as they are; what becomes of the volumes is in ``resize``. How running
instances move is in ``migrating``.
"""

import contextlib
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
from nova_polyvisor.libvirt.legacy import Home, LegacyInstances
from nova_polyvisor.libvirt.remote import PoolThere, pools_at
from nova_polyvisor.libvirt.storage import Storage, volume_name
from nova_polyvisor.libvirt.transition import Transition

CONF = nova.conf.CONF


class MovingDriver(libvirt_driver.LibvirtDriver):
    """The part of the driver that moves instances."""

    _storage: Storage
    _legacy: LegacyInstances
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
        if CONF.libvirt_storage.transition and self._legacy.home(instance) is Home.NOVA:
            return True
        self._storage.refresh()
        found = {volume.name for volume in self._storage.volumes_of(instance.uuid)}
        return volume_name(instance.uuid, "disk") in found or bool(found and not instance.image_ref)

    def check_instance_shared_storage_local(
        self, context: Any, instance: Any
    ) -> dict[str, Any] | None:
        """Mark what the disks lie in, for another host to look for the marks in its own.

        :returns: what the other host gets, None where it sees the disks for certain
        """
        if instance not in self._legacy:
            return self._sharing.ask(instance)
        if self._legacy.backend.backend().is_shared_block_storage():
            return None
        novas: dict[str, Any] | None = super().check_instance_shared_storage_local(
            context, instance
        )
        return novas

    def check_instance_shared_storage_remote(self, context: Any, data: dict[str, Any]) -> bool:
        """Tell whether this host has the marks that another host has made in its own storage."""
        if sharing.is_about_pools(data):
            return self._sharing.answer(data)
        return bool(super().check_instance_shared_storage_remote(context, data))

    def check_instance_shared_storage_cleanup(self, context: Any, data: dict[str, Any]) -> None:
        """Take the marks away."""
        if sharing.is_about_pools(data):
            self._sharing.end(data)
        else:
            super().check_instance_shared_storage_cleanup(context, data)

    def _not_to_delete(self, instance: Any) -> Collection[str]:
        """Return the names of the pools in which an instance's volumes are another host's."""
        if instance.deleted:
            return ()
        own = self._arrivals.own(instance)
        if own is not None and instance.host != CONF.host:
            return [pool.name for pool in self._storage.pools if pool.name not in own]
        leaving = instance.task_state in (task_states.RESIZE_REVERTING, task_states.MIGRATING)
        if leaving or instance.host != CONF.host:
            return self._sharing.maybe_shared(instance)
        return ()


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
