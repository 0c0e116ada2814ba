# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""``compute_driver = polyvisor.libvirt.StoragePoolDriver``."""

import contextlib
import contextvars
import os
from collections.abc import Iterator
from typing import Any

import nova.conf
from nova import context as nova_context
from nova import exception, objects
from nova.compute import task_states
from nova.i18n import _
from nova.virt.libvirt import imagecache
from nova.virt.libvirt import utils as libvirt_utils
from nova.virt.libvirt import vif as libvirt_vif
from oslo_log import log as logging
from oslo_utils import units

from nova_polyvisor import compat
from nova_polyvisor.libvirt import snapshot
from nova_polyvisor.libvirt.cache import StorageCacheManager
from nova_polyvisor.libvirt.config import VolumeDisk
from nova_polyvisor.libvirt.formats import FormatRecord
from nova_polyvisor.libvirt.guest import VolumeHost
from nova_polyvisor.libvirt.image import StorageBackend
from nova_polyvisor.libvirt.legacy import LegacyInstances
from nova_polyvisor.libvirt.migrating import MigratingDriver
from nova_polyvisor.libvirt.pool import PoolError, VolumeInfo
from nova_polyvisor.libvirt.storage import Storage, cache_directory, disk_name
from nova_polyvisor.libvirt.transition import Transition

compat.require_supported_nova()

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Seconds that a libvirtd may take to come back before an instance is given up that is to go.
RESTART_TIMEOUT = 60.0

#: Whether what starts an instance is the start of nova-compute on a host that has booted.
_NOBODY_ASKED = contextvars.ContextVar("nobody_asked", default=False)


class StoragePoolDriver(MigratingDriver):
    """Nova's libvirt driver with the volumes of a storage pool for disks."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi, read_only)
        self._host = VolumeHost(
            self._uri(),
            read_only,
            lifecycle_event_handler=self.emit_event,
            conn_event_handler=self._handle_conn_event,
        )
        self.vif_driver = libvirt_vif.LibvirtGenericVIFDriver(self._host)
        self._storage = Storage(self._host)
        self._host.find_path = self._storage.find_path
        self._host.find_volume = self._storage.find_volume
        self._legacy = LegacyInstances(self._host, self._storage)
        self._transition = Transition(self._host, self._storage, self._legacy)
        self.image_backend = StorageBackend(self._storage, self._legacy)
        self.image_cache_manager = StorageCacheManager(self._storage)
        self._prepare_moves()

    def init_host(self, host: str) -> None:
        """Make the pools ready, after what nova does.

        :raises InvalidConfiguration: what is configured does not fit together
        """
        options = CONF.libvirt_storage
        if not options.transition and CONF.libvirt.images_type != "default":
            raise exception.InvalidConfiguration(
                _(
                    "[libvirt] images_type is %s, which tells nova's own image backends how to "
                    "make disks, and [libvirt_storage] transition is false. Disks are volumes of "
                    "storage pools: set images_type to default, and say where they are to lie "
                    "with the options in [libvirt_storage]"
                )
                % CONF.libvirt.images_type
            )
        if not options.transition and not options.enabled:
            raise exception.InvalidConfiguration(
                _(
                    "[libvirt_storage] enabled is false, so that nova's own image backends make "
                    "the disks of new instances, and transition is false, so that they may not. "
                    "Set one of them to true"
                )
            )
        super().init_host(host)
        self._storage.prepare()
        uuids = objects.InstanceList.get_uuids_by_host(nova_context.get_admin_context(), host)
        instances = [objects.Instance(uuid=uuid) for uuid in uuids]
        for instance in instances:
            self._transition.recover(instance)
            # It lives here, even if the end of a live migration to here was missed.
            self._arrivals.forget(instance)
        self._legacy.report(instances)

    # Sizes

    def _get_local_gb_info(self) -> dict[str, float]:
        """Return the size of the pools of disks in GiB: total, free, used.

        Without ``enabled`` it is that of the place where nova's own backends make disks.
        """
        if not CONF.libvirt_storage.enabled:
            novas: dict[str, float] = super()._get_local_gb_info()
            return novas
        size = self._storage.size()
        return {
            "total": size.capacity / units.Gi,
            "free": size.available / units.Gi,
            "used": size.allocation / units.Gi,
        }

    def _get_disk_over_committed_size_total(self) -> int:
        """Return the bytes by which disks can still grow."""
        volumes = self._storage.instance_volumes()
        return super()._get_disk_over_committed_size_total() + sum(map(_growth, volumes))

    def _get_instance_disk_info_from_config(
        self, guest_config: Any, block_device_info: Any
    ) -> list[dict[str, Any]]:
        """Return nova's description of a guest's disks; sizes are in bytes."""
        devices = guest_config.devices
        guest_config.devices = [device for device in devices if not isinstance(device, VolumeDisk)]
        try:
            info = super()._get_instance_disk_info_from_config(guest_config, block_device_info)
        finally:
            guest_config.devices = devices
        named = [device for device in devices if isinstance(device, VolumeDisk)]
        return info + self._volume_disk_info(named)

    def _volume_disk_info(self, disks: list[VolumeDisk]) -> list[dict[str, Any]]:
        info = []
        for disk in disks:
            volume = self._storage.find(disk.source_pool, disk.source_volume)
            if volume is None:
                raise exception.DiskNotFound(location=f"{disk.source_pool}/{disk.source_volume}")
            place = {"pool": disk.source_pool, "volume": disk.source_volume}
            info.append({**_disk_info(volume, disk.driver_format), **place})
        return info

    # Disks

    def destroy(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> None:
        """Destroy an instance, once libvirt answers that may have failed it.

        Nova asks once where an instance could not be built, and then it is no host's any more.
        """
        if not self._host.wait_until_reached(RESTART_TIMEOUT):
            LOG.warning("Libvirt does not answer", instance=instance)
        super().destroy(context, instance, *args, **kwargs)

    def _cleanup(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        *args: Any,
        cleanup_instance_disks: bool = False,
        **kwargs: Any,
    ) -> None:
        """Clean up after an instance; its volumes go if its disks are to go."""
        if cleanup_instance_disks:
            self._delete_volumes(instance)
            self._arrivals.forget(instance)
        if _returns_elsewhere(instance):
            kwargs["cleanup_instance_dir"] = True
        super()._cleanup(
            context,
            instance,
            network_info,
            *args,
            cleanup_instance_disks=cleanup_instance_disks,
            **kwargs,
        )

    def _delete_volumes(self, instance: Any) -> None:
        """Delete an instance's volumes.

        An instance that could not be built because of a pool has none, and the same pool does not
        keep nova from trying another host.

        :raises PoolError: a pool cannot be read, and the instance may have volumes there
        """
        try:
            self._storage.delete(instance.uuid, keep=self._not_to_delete(instance))
        except PoolError as error:
            if FormatRecord(instance).names_volumes():
                raise
            LOG.warning("No volume was made that is to be deleted: %s", error, instance=instance)

    def unrescue(self, context: Any, instance: Any) -> None:
        """Start an instance from its own disks again and delete those of the rescue."""
        super().unrescue(context, instance)
        self._storage.delete(instance.uuid, suffix=".rescue")

    def _set_guest_for_rescue(
        self, rescue: Any, guest: Any, inst_path: str, root_device_name: str | None
    ) -> None:
        super()._set_guest_for_rescue(rescue, guest, inst_path, root_device_name)
        self._use_volumes_to_boot(guest)

    def _set_guest_for_inst_kernel(
        self,
        instance: Any,
        guest: Any,
        inst_path: str,
        root_device_name: str | None,
        image_meta: Any,
    ) -> None:
        super()._set_guest_for_inst_kernel(instance, guest, inst_path, root_device_name, image_meta)
        self._use_volumes_to_boot(guest)

    def _use_volumes_to_boot(self, guest: Any) -> None:
        """Give a guest the paths of the volumes in place of nova's files of the same names."""
        if guest in self._legacy:
            return
        for attribute in ("os_kernel", "os_initrd"):
            path = getattr(guest, attribute)
            if path:
                disk = os.path.basename(path)
                setattr(guest, attribute, self._storage.disk_path(guest.uuid, disk))

    def _create_images_and_backing(
        self,
        context: Any,
        instance: Any,
        instance_dir: str,
        disk_info: Any,
        fallback_from_host: str | None = None,
    ) -> None:
        """Fetch again the cached images that the instance's disks lie over and that are gone.

        :raises DiskNotFound: what is gone is not the image that the instance was made of
        """
        gone = [] if instance in self._legacy else self._without_image(instance)
        super()._create_images_and_backing(
            context, instance, instance_dir, [*(disk_info or []), *gone], fallback_from_host
        )

    def _without_image(self, instance: Any) -> list[dict[str, Any]]:
        """Return nova's description of the disks whose cached images are gone."""
        gone = [
            _disk_info(volume, "qcow2")
            for volume in self._storage.volumes_of(instance.uuid)
            if volume.backing and not os.path.exists(volume.backing)
        ]
        own = imagecache.get_cache_fname(instance.image_ref or "")
        for disk in gone:
            # Nova fetches the instance's own image, whatever the name of what is gone.
            name = disk["backing_file"]
            if name != own and not name.startswith(("ephemeral_", "swap_")):
                raise exception.DiskNotFound(location=os.path.join(cache_directory(), name))
            disk["path"] = disk_name(instance.uuid, os.path.basename(disk["path"]))
        return gone

    def _live_snapshot(
        self,
        context: Any,
        instance: Any,
        guest: Any,
        disk_path: str,
        out_path: str,
        source_format: str,
        image_format: str,
        image_meta: Any,
    ) -> None:
        """Copy a running guest's disk into a file."""
        name = os.path.basename(disk_path)
        volume = self._storage.pool_of(name).volume(name)
        if volume is None or volume.path != disk_path:
            # A disk that nova's own image backend has made.
            super()._live_snapshot(
                context,
                instance,
                guest,
                disk_path,
                out_path,
                source_format,
                image_format,
                image_meta,
            )
            return
        # A guest that must be at rest for its snapshot, and cannot be, is refused first.
        if image_meta.properties.get("os_require_quiesce", False):
            self._can_quiesce(instance, image_meta)
        snapshot.copy_running(
            guest,
            volume,
            out_path,
            image_format,
            lambda: self._frozen(context, instance, image_meta),
        )

    @contextlib.contextmanager
    def _frozen(self, context: Any, instance: Any, image_meta: Any) -> Iterator[None]:
        """Keep a guest's file systems at rest, if the guest can do that."""
        try:
            self.quiesce(context, instance, image_meta)
        except exception.NovaException as error:
            LOG.info("The guest is not quiesced: %s", error, instance=instance)
            yield
            return
        try:
            yield
        finally:
            self.unquiesce(context, instance, image_meta)

    def _fetch_instance_kernel_ramdisk(
        self, context: Any, instance: Any, fallback_from_host: str | None = None
    ) -> None:
        """Do nothing for volumes: a kernel and a ramdisk are made with the other disks."""
        if instance in self._legacy:
            super()._fetch_instance_kernel_ramdisk(context, instance, fallback_from_host)

    def resume_state_on_host_boot(self, *args: Any, **kwargs: Any) -> None:
        """Start an instance after its host has booted, on the disks that it has."""
        token = _NOBODY_ASKED.set(True)
        try:
            super().resume_state_on_host_boot(*args, **kwargs)
        finally:
            _NOBODY_ASKED.reset(token)

    def _hard_reboot(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> None:
        """Start an instance anew; what nova's own image backends keep moves into the pools first.

        Where that fails the instance starts on the disks that it has had. When the host has booted
        nobody has asked for the instance to be moved, and copies would keep many from starting.
        """
        if self._transition.is_due(instance, asked_for=not _NOBODY_ASKED.get()):
            self._destroy(instance)
            try:
                self._transition.move(instance)
            except (exception.NovaException, OSError) as error:
                LOG.error("The disks stay where they are: %s", error, instance=instance)
        if instance not in self._legacy:
            self._departures.resume(instance)
        super()._hard_reboot(context, instance, *args, **kwargs)


def _returns_elsewhere(instance: Any) -> bool:
    """Tell whether an instance goes back to another host, which shares no instances_path.

    Where hosts do, the source's directory lies beside this one, under nova's other name.
    """
    return instance.task_state == task_states.RESIZE_REVERTING and not os.path.exists(
        f"{libvirt_utils.get_instance_path(instance)}_resize"
    )


def _growth(volume: VolumeInfo) -> int:
    """Return the bytes by which a volume can still grow."""
    return max(0, volume.capacity - volume.allocation)


def _disk_info(volume: VolumeInfo, driver_format: str) -> dict[str, Any]:
    """Return nova's description of a disk; sizes are in bytes."""
    return {
        "type": driver_format,
        "path": volume.path,
        "virt_disk_size": volume.capacity,
        "backing_file": os.path.basename(volume.backing or ""),
        "disk_size": volume.allocation,
        "over_committed_disk_size": _growth(volume),
    }
