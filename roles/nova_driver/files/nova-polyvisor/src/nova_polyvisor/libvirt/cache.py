# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Nova's image cache manager, which also sees the backing files of volumes."""

import os
from typing import Any

from nova.virt.libvirt import imagecache
from oslo_log import log as logging

from nova_polyvisor.libvirt.pool import PoolError
from nova_polyvisor.libvirt.storage import Storage

LOG = logging.getLogger(__name__)


class StorageCacheManager(imagecache.ImageCacheManager):
    """Ages the images in nova's cache that no disk uses.

    :param storage: the host's pools
    """

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self._storage = storage

    def update(self, context: Any, all_instances: Any) -> None:
        """Age unused images; where the pools cannot be read, nothing is aged."""
        try:
            super().update(context, all_instances)
            self._storage.base_images.refresh(wait=False)
        except PoolError as error:
            LOG.warning("The image cache is left as it is: %s", error)

    def _list_backing_images(self) -> list[str]:
        """Return the paths of the cached images that disks lie over."""
        used = super()._list_backing_images()
        cache = os.path.realpath(self.cache_dir)
        for volume in self._storage.disks.volumes():
            if volume.backing is None:
                continue
            directory, name = os.path.split(os.path.realpath(volume.backing))
            if directory == cache:
                self._use(name, used)
        return used

    def _use(self, name: str, used: list[str]) -> None:
        path = os.path.join(self.cache_dir, name)
        if path in self.unexplained_images:
            self.unexplained_images.remove(path)
        if path not in used:
            used.append(path)
        # Nova ages swap and ephemeral templates by the sizes in flavors, which may have changed
        # since a disk was made.
        if name in self.back_swap_images:
            self.used_swap_images.add(name)
        if name in self.back_ephemeral_images:
            self.used_ephemeral_images.add(name)

    def get_disk_usage(self) -> int:
        """Return the bytes that the cache takes from the disks pool: 0 on another file system."""
        path = self._storage.disks.path()
        try:
            if path is None or os.stat(path).st_dev != os.stat(self.cache_dir).st_dev:
                return 0
            with os.scandir(self.cache_dir) as entries:
                return sum(entry.stat().st_blocks * 512 for entry in entries if entry.is_file())
        except OSError:
            # The directory is not there yet, or a file went while it was counted.
            return 0
