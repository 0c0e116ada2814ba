# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Disks of instances as volumes of a libvirt storage pool."""

import enum
import os
from collections.abc import Callable, Container
from typing import Any

import nova.conf
from nova import exception
from nova.compute import vm_states
from nova.virt.image import model as imgmodel
from nova.virt.libvirt import imagebackend
from oslo_concurrency import lockutils
from oslo_log import log as logging
from oslo_utils import strutils

from nova_polyvisor.libvirt import snapshot, template
from nova_polyvisor.libvirt.config import VolumeDisk
from nova_polyvisor.libvirt.formats import FormatRecord
from nova_polyvisor.libvirt.pool import Backing, VolumeSpec, as_qemu_knows
from nova_polyvisor.libvirt.rbd import RbdPool
from nova_polyvisor.libvirt.storage import Storage, volume_name

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


#: Disks that are a file's bytes, whatever they mean.
_BYTES = frozenset({"kernel", "ramdisk", "disk.config"})


class Kind(enum.Enum):
    """How a new volume comes from its template."""

    COPY_ON_WRITE = "copy-on-write qcow2 over the template"
    COPY = "full copy of the template"
    BYTES = "the template's bytes, whatever they mean: kernels and ramdisks"


class LibvirtStorage(imagebackend.Image):
    """Image backend whose disks are volumes of the disks pool.

    :param storage: the host's pools
    :param instance: the instance that the disk belongs to
    :param disk_name: what the disk is called: ``disk``, ``disk.swap``, ``kernel``, ...
    :param path: where the disk lies, for a disk that is known by its path alone
    :param disk_info_mapping: where blockinfo puts the disk in the guest
    :param kind: how the volume is made of its template
    """

    #: Whether all of a disk's space is reserved where nova is told so.
    _reserves = True

    def __init__(
        self,
        storage: Storage,
        instance: Any,
        disk_name: str | None = None,
        path: str | None = None,
        disk_info_mapping: dict[str, Any] | None = None,
        kind: Kind = Kind.COPY_ON_WRITE,
    ) -> None:
        if disk_name is None and path is None:
            raise ValueError("a disk is known by its name or by its path")
        self._storage = storage
        self._kind = kind
        if disk_name is None:
            self.volume_name = os.path.basename(str(path))
        else:
            self.volume_name = volume_name(instance.uuid, disk_name)
        self._pool = storage.pool_of(self.volume_name)
        super().__init__(
            path,
            "volume",
            "qcow2" if kind is Kind.COPY_ON_WRITE else "raw",
            disk_info_mapping=disk_info_mapping,
        )
        self.preallocate = self._reserves and strutils.to_slug(CONF.preallocate_images) == "space"
        if self.preallocate:
            self.driver_io = "native"
        self._instance = instance
        self._formats = FormatRecord(instance)
        found = self._pool.volume(self.volume_name)
        self.path = found.path if found else self._pool.volume_path(self.volume_name)
        if found:
            self.driver_format = self._formats.get(found.path) or as_qemu_knows(found.format)

    def exists(self) -> bool:
        """Tell whether the volume exists."""
        return self._pool.volume(self.volume_name) is not None

    def libvirt_info(self, *args: Any, **kwargs: Any) -> VolumeDisk:
        """Return the disk's element for the domain."""
        disk = super().libvirt_info(*args, **kwargs)
        network = self._pool.network(self.volume_name)
        return VolumeDisk.of(disk, self._pool.name, self.volume_name, network)

    def cache(
        self,
        fetch_func: Callable[..., None],
        filename: str,
        size: int | None = None,
        safe: bool = False,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Make the volume from a template unless it exists, and as large as it is to be.

        Nova compares the size with the template's only, which a larger flavor's ephemeral disk has
        a new one of.
        """
        super().cache(fetch_func, filename, size, safe, *args, **kwargs)
        if size:
            self.resize_image(size)

    def create_image(
        self,
        prepare_template: Callable[..., None],
        base: str,
        size: int | None,
        safe: bool = False,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Make the volume from its template, which is fetched into the image cache first.

        :param prepare_template: makes the template at the path ``target``
        :param base: where the template lies, or is to lie, in the image cache
        :param size: size of the disk in bytes; the template's where it is None or 0
        :param safe: the template is nova's own work and needs no inspection
        :raises FlavorDiskSmallerThanImage: the template is larger than ``size``
        :raises InvalidDiskInfo: the template refers to other files
        """
        if not os.path.exists(base):
            prepare_template(*args, target=base, **kwargs)
        found = template.bare(base) if self._kind is Kind.BYTES else template.inspect(base, safe)
        _mark_used(base)
        self.verify_base_size(base, size, base_size=found.capacity)

        with lockutils.lock(
            self._get_lock_name(base), "nova-", external=True, lock_path=self.lock_path
        ):
            if not self.exists():
                lasts = not safe and not _is_unshelved(self._instance)
                self._create(found, size or found.capacity, lasts)

    def _create(self, found: template.Template, capacity: int, lasts: bool) -> None:
        """Make the volume.

        :param lasts: whether every host can get the same template again. A file system or swap
            that this host has made it cannot, nor the image of a shelved instance, which nova
            deletes: no disk lies over them
        """
        base_images = self._storage.base_images
        cow = self._kind is Kind.COPY_ON_WRITE
        if cow and lasts and self._pool.holds("qcow2"):
            base_images.refresh(wait=False)
            spec = VolumeSpec(
                name=self.volume_name,
                format="qcow2",
                capacity=capacity,
                backing=Backing(found.path, found.format),
                cluster_size=found.cluster_size,
            )
            self._pool.create(spec)
        else:
            if base_images.volume(found.name) is None:
                base_images.refresh()
            spec = VolumeSpec(
                name=self.volume_name,
                format="qcow2" if self._is_qcow2(cow, found) else "raw",
                capacity=capacity,
                preallocate=self.preallocate,
            )
            self._pool.clone(spec, base_images, found.name, found.format)
        self._record(spec.format)

    def _is_qcow2(self, cow: bool, found: template.Template) -> bool:
        """Tell whether a full copy is to be qcow2: libvirt makes no such volumes in some pools."""
        return (cow or found.format == "qcow2") and self._pool.holds("qcow2")

    def _record(self, driver_format: str) -> None:
        """Keep where a new volume lies and which format it has."""
        found = self._pool.volume(self.volume_name)
        if found is None:
            raise exception.DiskNotFound(location=f"{self._pool.name}/{self.volume_name}")
        self._formats.set(found.path, driver_format)
        self.path = found.path
        self.driver_format = driver_format

    def resize_image(self, size: int) -> None:
        """Grow the volume to a size in bytes; it is never made smaller."""
        self._pool.resize(self.volume_name, size)

    def import_file(self, _instance: Any, local_file: str, _remote_name: str) -> None:
        """Move a local file into the volume, in place of what the volume was before."""
        self._pool.delete(self.volume_name)
        self._pool.upload(self.volume_name, local_file)
        # With this images_type, which is then that of legacy instances, nova removes it itself.
        if CONF.libvirt.images_type != "rbd":
            os.unlink(local_file)
        self._record("raw")

    def snapshot_extract(self, target: str, out_format: str) -> None:
        """Write what a stopped guest sees as the disk into a file.

        :param target: path of the new file
        :param out_format: its format: qcow2, raw, ...
        """
        found = self._pool.volume(self.volume_name)
        if found is None:
            raise exception.DiskNotFound(location=f"{self._pool.name}/{self.volume_name}")
        snapshot.copy_stopped(self._pool, found, self.driver_format, target, out_format)

    def get_model(self, _connection: Any) -> Any:
        """Return what nova's tools need to know to open the disk."""
        return imgmodel.LocalFileImage(self.path, self.driver_format)


class RbdStorage(LibvirtStorage):
    """Disks in a pool of type rbd: a copy-on-write disk is a clone of a template in the pool.

    Libvirt clones within such a pool only, so that the template is uploaded there first.
    """

    _pool: RbdPool
    # Ceph reserves no space, and QEMU has no way to it but its own.
    _reserves = False

    def _create(self, found: template.Template, capacity: int, lasts: bool) -> None:
        if self._kind is not Kind.COPY_ON_WRITE or not lasts:
            super()._create(found, capacity, lasts)
            return
        uploaded = self._pool.template(found.name) or self._pool.make_template(
            found.name, found.path, found.format, found.capacity
        )
        spec = VolumeSpec(self.volume_name, "raw", capacity)
        self._pool.clone(spec, self._pool, uploaded, "raw")
        self._record("raw")

    def get_model(self, _connection: Any) -> Any:
        """Refuse what nova's tools do on the host with a disk, such as putting files into it.

        :raises UnsupportedImageModel: always
        """
        raise exception.UnsupportedImageModel(image=f"{self._pool.name}/{self.volume_name}")


def _is_unshelved(instance: Any) -> bool:
    """Tell whether an instance comes back from the image that it was shelved as."""
    return "vm_state" in instance and instance.vm_state == vm_states.SHELVED_OFFLOADED


def _mark_used(base: str) -> None:
    """Tell the image cache manager that an image is in use; root is asked only if need be."""
    try:
        os.utime(base)
    except PermissionError:
        imagebackend._update_utime_ignore_eacces(base)


class StorageBackend(imagebackend.Backend):
    """Gives nova's driver the disks of instances: volumes, or what nova's own backends have made.

    :param storage: the host's pools
    :param legacy: the instances whose disks nova's own backends keep
    """

    def __init__(self, storage: Storage, legacy: Container[Any] = ()) -> None:
        super().__init__(CONF.use_cow_images)
        self._novas = imagebackend.Backend(CONF.use_cow_images)
        self._storage = storage
        self._legacy = legacy

    def backend(self, image_type: str | None = None) -> type[imagebackend.Image]:
        """Return the class of the disks of new instances."""
        if CONF.libvirt_storage.enabled:
            return LibvirtStorage
        novas: type[imagebackend.Image] = super().backend(image_type)
        return novas

    def by_name(
        self,
        instance: Any,
        name: str,
        image_type: str | None = None,
        disk_info_mapping: dict[str, Any] | None = None,
    ) -> imagebackend.Image:
        """Return an instance's disk.

        :param name: the disk's name; nova gives a path in the instance's directory at times
        :param image_type: how nova's own backends make the disk; says nothing about volumes
        """
        if instance in self._legacy:
            return self._novas.by_name(instance, name, image_type, disk_info_mapping)
        disk_name = os.path.basename(name)
        if disk_name.removesuffix(".rescue") in _BYTES:
            kind = Kind.BYTES
        else:
            kind = Kind.COPY_ON_WRITE if CONF.use_cow_images else Kind.COPY
        return self._class_for(volume_name(instance.uuid, disk_name))(
            self._storage,
            instance,
            disk_name=disk_name,
            disk_info_mapping=disk_info_mapping,
            kind=kind,
        )

    def _class_for(self, volume: str) -> type[LibvirtStorage]:
        in_ceph = isinstance(self._storage.pool_of(volume), RbdPool)
        return RbdStorage if in_ceph else LibvirtStorage

    def by_libvirt_path(
        self, instance: Any, path: str, image_type: str | None = None
    ) -> imagebackend.Image:
        """Return the disk that lies at a path."""
        if instance in self._legacy:
            return self._novas.by_libvirt_path(instance, path, image_type)
        return self._class_for(os.path.basename(path))(self._storage, instance, path=path)
