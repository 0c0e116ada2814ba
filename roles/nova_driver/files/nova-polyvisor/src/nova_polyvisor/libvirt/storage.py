# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""The pools of a host: which there are, and what in them belongs to an instance."""

import os
import re
from typing import Any

import nova.conf
from nova import exception
from nova.i18n import _
from oslo_log import log as logging
from oslo_utils import fileutils

from nova_polyvisor.libvirt import conf
from nova_polyvisor.libvirt.pool import Pool, PoolInfo, VolumeInfo

CONF = nova.conf.CONF
conf.register_opts(CONF)
LOG = logging.getLogger(__name__)

_VOLUME_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}_.+")


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


class Storage:
    """The pool of the disks and the pool of the cached images.

    :param host: nova's ``Host``, which keeps the connection to libvirt
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self.disks = Pool(host, CONF.libvirt_storage.disks_pool)
        self.base_images = Pool(host, CONF.libvirt_storage.base_images_pool)

    def prepare(self) -> None:
        """Make the pools ready for use.

        :raises InvalidConfiguration: the disks pool does not exist, or the pool of the cached
            images lies over another directory than nova's cache
        """
        if self.disks.name == self.base_images.name:
            raise exception.InvalidConfiguration(
                _(
                    "[libvirt_storage] disks_pool and base_images_pool are both %s: "
                    "disks and cached images need a pool each"
                )
                % self.disks.name
            )
        if not self.disks.exists():
            raise exception.InvalidConfiguration(
                _(
                    "Libvirt has no storage pool %(pool)s, which [libvirt_storage] disks_pool "
                    "names. Make it, for example with: virsh pool-define-as %(pool)s dir "
                    "--target /var/lib/nova/disks && virsh pool-build %(pool)s && "
                    "virsh pool-start %(pool)s && virsh pool-autostart %(pool)s"
                )
                % {"pool": self.disks.name}
            )
        self.disks.start()
        self._prepare_base_images()

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

    def disk_path(self, instance_uuid: str, disk: str) -> str:
        """Return where an instance's disk lies on this host, or will lie once it is made."""
        return self.disks.volume_path(volume_name(instance_uuid, disk))

    def size(self) -> PoolInfo:
        """Return the size of the disks pool as it is now."""
        self.disks.refresh(wait=False)
        return self.disks.info()

    def volumes_of(self, instance_uuid: str) -> list[VolumeInfo]:
        """Return the volumes of an instance."""
        names = self.disks.names(volume_name(instance_uuid, ""))
        found = [self.disks.volume(name) for name in names]
        return [volume for volume in found if volume is not None]

    def own_volumes(self, instance_uuid: str) -> list[VolumeInfo]:
        """Return the volumes of an instance but for the copies kept of them."""
        return [v for v in self.volumes_of(instance_uuid) if not v.name.endswith(SAVED)]

    def instance_volumes(self) -> list[VolumeInfo]:
        """Return the volumes of all instances; others in the pool are left out."""
        return [volume for volume in self.disks.volumes() if _VOLUME_NAME.fullmatch(volume.name)]

    def delete(self, instance_uuid: str, suffix: str = "") -> None:
        """Delete an instance's volumes, or those of them whose names have an ending."""
        for name in self.disks.names(volume_name(instance_uuid, "")):
            if name.endswith(suffix):
                LOG.info("Deleting volume %s of pool %s", name, self.disks.name)
                self.disks.delete(name)
