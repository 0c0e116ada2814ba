# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Nova's image cache manager, which takes what is in use from the backing files of volumes."""

import os
from typing import Any

import nova.conf
from nova.virt.libvirt import imagecache
from oslo_log import log as logging

from nova_polyvisor.libvirt.pool import PoolError
from nova_polyvisor.libvirt.rbd import RbdPool
from nova_polyvisor.libvirt.storage import Storage

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class StorageCacheManager(imagecache.ImageCacheManager):
    """Ages the images in nova's cache that no disk uses.

    Libvirt tells what each volume lies over; no process is started for that. Nova's own code looks
    at what disks of nova's own image backends lie over, while they are served.

    :param storage: the host's pools
    """

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self._storage = storage

    def update(self, context: Any, all_instances: Any) -> None:
        """Age unused images; where the pools cannot be read as they are now, nothing is aged."""
        try:
            # Another host may have made volumes in a pool that is shared.
            if not all(pool.refresh(wait=False) for pool in self._storage.pools):
                LOG.info("The image cache is left as it is: volumes are being made")
                return
            super().update(context, all_instances)
            self._storage.base_images.refresh(wait=False)
            for pool in self._storage.pools:
                if isinstance(pool, RbdPool):
                    pool.remove_templates(self.cache_dir)
        except PoolError as error:
            LOG.warning("The image cache is left as it is: %s", error)

    def _list_backing_images(self) -> list[str]:
        """Return the paths of the cached images that disks lie over."""
        legacy = CONF.libvirt_storage.transition
        used: list[str] = super()._list_backing_images() if legacy else []
        cache = os.path.realpath(self.cache_dir)
        known = set(used)
        for volume in self._storage.volumes():
            if volume.backing is None:
                continue
            directory, name = os.path.split(volume.backing)
            if directory not in (cache, self.cache_dir):
                directory, name = os.path.split(os.path.realpath(volume.backing))
            if directory in (cache, self.cache_dir):
                self._use(name, known)
        return [*used, *sorted(known.difference(used))]

    def _use(self, name: str, used: set[str]) -> None:
        path = os.path.join(self.cache_dir, name)
        if path in used:
            return
        used.add(path)
        if path in self.unexplained_images:
            self.unexplained_images.remove(path)
        # Nova ages swap and ephemeral templates by the sizes in flavors, which may have changed
        # since a disk was made.
        if name in self.back_swap_images:
            self.used_swap_images.add(name)
        if name in self.back_ephemeral_images:
            self.used_ephemeral_images.add(name)

    def get_disk_usage(self) -> int:
        """Return the bytes that the cache takes from the pools of disks.

        It is 0 where the cache lies on a file system of its own.
        """
        paths = [pool.path() for pool in self._storage.pools]
        try:
            devices = {os.stat(path).st_dev for path in paths if path is not None}
            if os.stat(self.cache_dir).st_dev not in devices:
                return 0
            with os.scandir(self.cache_dir) as entries:
                return sum(entry.stat().st_blocks * 512 for entry in entries if entry.is_file())
        except OSError:
            # The directory is not there yet, or a file went while it was counted.
            return 0
