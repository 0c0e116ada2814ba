# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Speaks to libvirt about volumes: makes, changes and reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import OperationFailed
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import stream
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Volume,
    doing,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.secret_client import (
    SecretClient,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.sparse import Sink

try:
    import libvirt
except ImportError:
    libvirt = None


class VolumeClient(SecretClient):
    """A connection to libvirt for what is done to volumes, and what they need; as Client."""

    def active_pool_names(self) -> list[str]:
        """The names of the active pools: one call for all."""
        with doing("list the storage pools"):
            flag = libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
            return sorted(pool.name() for pool in self._connection.listAllStoragePools(flag))

    def volume_names(self, pool: str) -> list[str]:
        """The names of the volumes of an active pool: one call for all."""
        with doing(f"list the volumes of pool {pool!r}"):
            return sorted(volume.name() for volume in self._pool(pool).listAllVolumes(0))

    def find_volume(self, pool: str, name: str) -> Volume | None:
        """A volume of an active pool by its name, or None."""
        handle = self._find_volume(pool, name)
        return self._volume_record(pool, handle) if handle else None

    def find_volume_by_path(self, path: str) -> Volume | None:
        """A volume of any active pool by its path, or None."""
        try:
            with doing(f"look up the volume at {path}"):
                handle = self._connection.storageVolLookupByPath(path)
                pool = handle.storagePoolLookupByVolume().name()
        except OperationFailed as error:
            if error.code in (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_STORAGE_POOL):
                return None
            raise
        return self._volume_record(pool, handle)

    def create_volume(self, pool: str, name: str, xml: str) -> None:
        """Make an empty or copy-on-write volume."""
        with doing(f"create volume {name!r} in pool {pool!r}"):
            self._pool(pool).createXML(xml, 0)

    def clone_volume(self, pool: str, name: str, xml: str, source: Volume) -> None:
        """Make a volume with the content of another."""
        what = f"clone volume {source.name!r} of pool {source.pool!r} to {name!r} in {pool!r}"
        with doing(what):
            origin = self._volume(source.pool, source.name)
            self._pool(pool).createXMLFrom(xml, origin, 0)

    def resize_volume(self, pool: str, name: str, capacity: int, shrink: bool) -> None:
        """Set a volume's capacity in bytes."""
        flags = libvirt.VIR_STORAGE_VOL_RESIZE_SHRINK if shrink else 0
        with doing(f"resize volume {name!r} of pool {pool!r} to {capacity} bytes"):
            self._volume(pool, name).resize(capacity, flags)

    def wipe_volume(self, pool: str, name: str, algorithm: str) -> None:
        """Overwrite a volume; ``algorithm`` as in VIR_STORAGE_VOL_WIPE_ALG, in lower case."""
        number = getattr(libvirt, f"VIR_STORAGE_VOL_WIPE_ALG_{algorithm.upper()}")
        with doing(f"wipe volume {name!r} of pool {pool!r} with algorithm {algorithm}"):
            self._volume(pool, name).wipePattern(number, 0)

    # Streams

    def upload(self, volume: Volume, file: int, length: int, total: int) -> None:
        """Overwrite a volume with so many bytes of a file (a descriptor), then zeros to a total.

        :raises OperationFailed: also if the file cannot be read any more
        """
        what = f"upload to volume {volume.name!r} of pool {volume.pool!r}"
        with doing(what), self._streaming() as channel:
            handle = self._volume(volume.pool, volume.name)
            handle.upload(channel, 0, total, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
            stream.send(channel, file, length, total)

    def download(self, volume: Volume, sink: Sink, length: int) -> None:
        """Hand so many bytes of a volume to a sink; all of them where ``length`` is 0."""
        what = f"download volume {volume.name!r} of pool {volume.pool!r}"
        with doing(what), self._streaming() as channel:
            handle = self._volume(volume.pool, volume.name)
            handle.download(channel, 0, length, libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM)
            stream.receive(channel, sink)

    @contextmanager
    def _streaming(self) -> Iterator[libvirt.virStream]:
        """A blocking stream, given up if anything goes wrong."""
        channel = self._connection.newStream(0)
        try:
            yield channel
        except BaseException:
            with suppress(libvirt.libvirtError):
                channel.abort()
            raise

    def _find_volume(self, pool: str, name: str) -> libvirt.virStorageVol | None:
        try:
            with doing(f"look up volume {name!r} of pool {pool!r}"):
                return self._volume(pool, name)
        except OperationFailed as error:
            if error.code == libvirt.VIR_ERR_NO_STORAGE_VOL:
                return None
            raise
