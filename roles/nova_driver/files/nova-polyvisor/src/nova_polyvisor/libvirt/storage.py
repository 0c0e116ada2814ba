# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""The pools of a host: which there are, and what in them belongs to an instance."""

import contextlib
import os
import re
from collections.abc import Container
from typing import Any

import nova.conf
from nova import exception
from nova.i18n import _
from oslo_log import log as logging
from oslo_utils import fileutils

from nova_polyvisor.libvirt import conf
from nova_polyvisor.libvirt.pool import Pool, PoolError, PoolInfo, VolumeInfo
from nova_polyvisor.libvirt.rbd import RbdPool

CONF = nova.conf.CONF
conf.register_opts(CONF)
LOG = logging.getLogger(__name__)

_VOLUME_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}_.+")

#: Kinds of disks that ``[libvirt_storage] pools`` may name.
_KIND = re.compile(r"disk(\.(local|swap|config|eph\d*))?|kernel|ramdisk")


#: Ending of the name of a copy that is kept of a volume while a resize may be reverted.
SAVED = ".before"


def cache_directory() -> str:
    """Return nova's image cache directory."""
    return os.path.join(CONF.instances_path, CONF.image_cache.subdirectory_name)


def volume_name(instance_uuid: str, disk: str) -> str:
    """Return the name of the volume that holds an instance's disk."""
    return f"{instance_uuid}_{disk}"


def disk_name(instance_uuid: str, volume: str) -> str:
    """Return the name of the disk that an instance's volume holds."""
    return volume.removeprefix(f"{instance_uuid}_")


def kinds_of(disk: str) -> tuple[str, str]:
    """Return the names by which ``[libvirt_storage] pools`` may mean a disk, the closest first."""
    own = disk.removesuffix(".rescue")
    return own, own.rstrip("0123456789")


def open_pool(host: Any, name: str) -> Pool:
    """Return a pool as its type asks for it; one that does not exist yet as any other.

    :param host: nova's ``Host``
    """
    pool = Pool(host, name)
    return RbdPool(host, name) if pool.type() == "rbd" else pool


class Storage:
    """The pools of the disks and the pool of the cached images.

    ``disks`` is the pool of the disks that have none of their own.

    :param host: nova's ``Host``, which keeps the connection to libvirt
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self.disks = Pool(host, CONF.libvirt_storage.disks_pool)
        self.base_images = Pool(host, CONF.libvirt_storage.base_images_pool)
        self._by_name = {self.disks.name: self.disks}
        for name in CONF.libvirt_storage.pools.values():
            self._by_name.setdefault(name, Pool(host, name))
        #: Pools of volumes that are coming from another host, by the volumes' names.
        self.coming: dict[str, Pool] = {}

    @property
    def pools(self) -> list[Pool]:
        """The pools of the disks; without ``enabled`` those of them that there are."""
        pools = list(self._by_name.values())
        return pools if CONF.libvirt_storage.enabled else [p for p in pools if p.exists()]

    def pool(self, name: str) -> Pool | None:
        """Return a pool of disks by its name, None where this host has no such pool of disks."""
        return self._by_name.get(name)

    def refresh(self) -> None:
        """Let libvirt read the volumes of the pools of disks anew."""
        for pool in self.pools:
            pool.refresh()

    def pool_for(self, disk: str) -> Pool:
        """Return the pool that new disks of a name are made in.

        :raises PoolError: QEMU boots from the disk, and cannot read it in that pool
        """
        kinds = [kind for kind in kinds_of(disk) if kind in CONF.libvirt_storage.pools]
        pool = self._by_name[CONF.libvirt_storage.pools[kinds[0]]] if kinds else self.disks
        if kinds_of(disk)[0] in ("kernel", "ramdisk") and isinstance(pool, RbdPool):
            raise PoolError(
                reason=f"QEMU reads no {disk} from storage pool {pool.name}, which is of type rbd: "
                f"name another for it, as in [libvirt_storage] pools = kernel:<pool>,ramdisk:<pool>"
            )
        return pool

    def pool_of(self, volume: str) -> Pool:
        """Return the pool that a volume is in, or that a volume of this name is to be made in."""
        own = self.coming.get(volume) or self.pool_for(_disk_of(volume))
        others = [pool for pool in self.pools if pool is not own]
        if not others or own.volume(volume) is not None:
            return own
        return next((pool for pool in others if pool.volume(volume) is not None), own)

    def prepare(self) -> None:
        """Make the pools ready for use.

        :raises InvalidConfiguration: a pool of disks does not exist, a kind of disk is unknown, or
            the pool of the cached images lies over another directory than nova's cache
        """
        for kind in CONF.libvirt_storage.pools:
            if not _KIND.fullmatch(kind):
                raise exception.InvalidConfiguration(
                    _("[libvirt_storage] pools names %s, which is no kind of disk") % kind
                )
        if self.base_images.name in self._by_name:
            raise exception.InvalidConfiguration(
                _(
                    "[libvirt_storage] base_images_pool is %s, which is a pool of disks as well: "
                    "disks and cached images need a pool each"
                )
                % self.base_images.name
            )
        for pool in self.pools:
            self._prepare_disks(pool)
        self._by_name = {name: open_pool(self._host, name) for name in self._by_name}
        self.disks = self._by_name[self.disks.name]
        self._prepare_base_images()

    def _prepare_disks(self, pool: Pool) -> None:
        if not pool.exists():
            raise exception.InvalidConfiguration(
                _(
                    "Libvirt has no storage pool %(pool)s, which [libvirt_storage] %(option)s "
                    "names. Make it, for example with: virsh pool-define-as %(pool)s dir "
                    "--target %(directory)s && virsh pool-build %(pool)s && "
                    "virsh pool-start %(pool)s && virsh pool-autostart %(pool)s"
                )
                % {
                    "pool": pool.name,
                    "option": "disks_pool" if pool is self.disks else "pools",
                    "directory": f"/var/lib/nova/{'disks' if pool is self.disks else pool.name}",
                }
            )
        pool.start()

    def _prepare_base_images(self) -> None:
        directory = cache_directory()
        fileutils.ensure_tree(directory)
        if not self.base_images.exists():
            LOG.info("Defining storage pool %s over %s", self.base_images.name, directory)
            self.base_images.define(directory)
            return
        path = self.base_images.path()
        if path is None or os.path.realpath(path) != os.path.realpath(directory):
            raise exception.InvalidConfiguration(
                _(
                    "Storage pool %(pool)s, which [libvirt_storage] base_images_pool names, lies "
                    "over %(path)s, and nova's image cache is %(directory)s. Name another pool, "
                    "or make these two agree"
                )
                % {"pool": self.base_images.name, "path": path, "directory": directory}
            )
        self.base_images.start()
        self.base_images.refresh(wait=False)

    def find(self, pool: str, volume: str) -> VolumeInfo | None:
        """Return a volume of any pool, None where there is none."""
        return Pool(self._host, pool).volume(volume)

    def find_path(self, pool: str, volume: str) -> str | None:
        """Return where a volume of any pool lies on this host, None where there is none."""
        found = self.find(pool, volume)
        return found.path if found else None

    def path(self, pool: str, volume: str) -> str:
        """Return where a volume of any pool lies on this host.

        :raises DiskNotFound: it is not there
        """
        found = self.find_path(pool, volume)
        if found is None:
            raise exception.DiskNotFound(location=f"{pool}/{volume}")
        return found

    def find_volume(self, network_name: str) -> tuple[str, str] | None:
        """Return the names of pool and volume of an instance's disk that QEMU reaches by itself."""
        name = os.path.basename(network_name)
        if not _VOLUME_NAME.fullmatch(name):
            return None
        for pool in self.pools:
            if isinstance(pool, RbdPool) and pool.volume_path(name) == network_name:
                return pool.name, name
        return None

    def disk_path(self, instance_uuid: str, disk: str) -> str:
        """Return where an instance's disk lies on this host, or will lie once it is made."""
        name = volume_name(instance_uuid, disk)
        return self.pool_of(name).volume_path(name)

    def size(self) -> PoolInfo:
        """Return the size of the pools of disks as it is now; a file system is counted once."""
        sizes: dict[Any, PoolInfo] = {}
        for pool in self.pools:
            pool.refresh(wait=False)
            sizes.setdefault(_space(pool), pool.info())
        found = sizes.values()
        return PoolInfo(
            sum(size.capacity for size in found),
            sum(size.allocation for size in found),
            sum(size.available for size in found),
        )

    def volumes(self) -> list[VolumeInfo]:
        """Return all volumes of the pools of disks."""
        return [volume for pool in self.pools for volume in pool.volumes()]

    def volumes_of(self, instance_uuid: str) -> list[VolumeInfo]:
        """Return the volumes of an instance."""
        return [volume for _pool, volume in self._placed(instance_uuid)]

    def placed(self, instance_uuid: str) -> list[tuple[Pool, VolumeInfo]]:
        """Return the volumes of an instance and their pools, but for the copies kept of them."""
        return [p for p in self._placed(instance_uuid) if not p[1].name.endswith(SAVED)]

    def _placed(self, instance_uuid: str) -> list[tuple[Pool, VolumeInfo]]:
        prefix = volume_name(instance_uuid, "")
        found = [(pool, pool.volume(name)) for pool in self.pools for name in pool.names(prefix)]
        return [(pool, volume) for pool, volume in found if volume is not None]

    def pools_of(self, instance_uuid: str) -> list[Pool]:
        """Return the pools that an instance has volumes in."""
        prefix = volume_name(instance_uuid, "")
        return [pool for pool in self.pools if pool.names(prefix)]

    def is_coming(self, instance_uuid: str) -> bool:
        """Tell whether volumes of an instance are coming from another host."""
        prefix = volume_name(instance_uuid, "")
        return any(name.startswith(prefix) for name in self.coming)

    def instance_volumes(self) -> list[VolumeInfo]:
        """Return the volumes of all instances; others in the pools are left out."""
        return [volume for volume in self.volumes() if _VOLUME_NAME.fullmatch(volume.name)]

    def delete(
        self, instance_uuid: str, suffix: str = "", keep: Container[str] = frozenset()
    ) -> None:
        """Delete an instance's volumes, or those of them whose names have an ending.

        :param keep: names of pools that nothing is deleted from
        :raises PoolError: a pool does not permit it; from the others they are deleted
        """
        failed = []
        for pool in self.pools:
            try:
                names = [] if pool.name in keep else pool.names(volume_name(instance_uuid, ""))
                for name in [name for name in names if name.endswith(suffix)]:
                    LOG.info("Deleting volume %s of pool %s", name, pool.name)
                    pool.delete(name)
            except PoolError as error:
                failed.append(str(error))
        if failed:
            raise PoolError(reason="; ".join(failed))


def _disk_of(volume: str) -> str:
    """Return the name of the disk that a volume of any instance holds."""
    return volume.partition("_")[2] or volume


def _space(pool: Pool) -> tuple[str, object]:
    """Return what tells the space that a pool's volumes take from that of other pools."""
    network = pool.network("")
    if network is not None:
        # All pools of a cluster fill the same space.
        return "cluster", frozenset(network.hosts)
    path = pool.path()
    if path is None:
        return "pool", pool.name
    if not path.startswith("/dev/"):
        with contextlib.suppress(OSError):
            return "file system", os.stat(path).st_dev
    return "path", path
