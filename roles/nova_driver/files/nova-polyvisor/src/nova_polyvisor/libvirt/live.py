# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Live migration: the volumes of a running guest on the host that it goes to.

Hosts that share a pool share its volumes, and they are not copied. Otherwise the destination makes
empty volumes of the same names in its pool of the same name, and QEMU copies what the guest's disks
hold into them while it runs. What QEMU does not copy (the config drive, a kernel, a ramdisk) the source sends.

Disks of nova's own image backends become volumes on the way. Hosts that share no instances_path
move them as above. Where they share it, and the pools, the source gives each file a second name in
the pool, under which the guest goes on at the destination; the first name goes afterwards, and the
second if the migration fails (``transition``). Where such a name cannot be given, and on RBD, the
disks stay what they are.

Libvirt does not find out that a disk which is named by pool and volume exists at the destination
and refuses to copy into it, so that during the migration such disks are named by path. The
definition that stays names them by pool and volume, and a guest takes them from there.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import nova.conf
from nova import exception
from nova.i18n import _
from nova.virt.libvirt import imagecache
from nova.virt.libvirt import utils as libvirt_utils
from oslo_log import log as logging

from nova_polyvisor.libvirt.config import VolumeDisk
from nova_polyvisor.libvirt.formats import FormatRecord
from nova_polyvisor.libvirt.legacy import LegacyDisk
from nova_polyvisor.libvirt.pool import Pool, VolumeSpec
from nova_polyvisor.libvirt.records import read_record, write_record
from nova_polyvisor.libvirt.remote import PoolThere
from nova_polyvisor.libvirt.storage import Storage, volume_name

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

_CONFIG_DRIVE = "disk.config"

#: Tells where a volume lies, by the names of its pool and of itself.
PathOf = Callable[[str, str], str]


class Arrivals:
    """Guests that come to this host while they run.

    :param storage: the host's pools
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def expect(self, instance: Any, disks: list[dict[str, Any]]) -> None:
        """See to it that the pools are as the migration needs them, before anything is made.

        :param disks: nova's descriptions of the guest's disks that this host does not see yet
        :raises MigrationError: a disk is in a pool that this host does not have
        :raises DestinationDiskExists: a pool has volumes of the instance that it ought not to have
        """
        self._storage.refresh()
        pools = {disk["volume"]: self._pool(disk["pool"]) for disk in disks}
        for pool in set(pools.values()):
            refuse_to_copy(pool)
            left = pool.names(volume_name(instance.uuid, ""))
            if left:
                raise exception.DestinationDiskExists(path=pool.volume_path(left[0]))
        if disks:
            # From here on what has the instance's name in these pools is this migration's.
            write_record(_expected(instance), {"own": sorted(p.name for p in pools.values())})
            self._storage.coming.update(pools)

    def _pool(self, name: str) -> Pool:
        pool = self._storage.pool(name)
        if pool is None:
            raise exception.MigrationError(
                reason=_(
                    "[libvirt_storage] does not name storage pool %s on this host: name all pools "
                    "alike on both hosts"
                )
                % name
            )
        return pool

    def own(self, instance: Any) -> list[str] | None:
        """Return the pools in which the instance's volumes are those of a migration to here.

        None where no migration has been begun.
        """
        record = read_record(_expected(instance))
        return None if record is None else record["own"]

    def make_empty(self, instance: Any, disks: list[dict[str, Any]]) -> None:
        """Make the volumes that lie over no cached image, for QEMU to fill.

        :param disks: nova's descriptions of the guest's disks at the source
        """
        formats = FormatRecord(instance)
        for disk in disks:
            if not disk["backing_file"]:
                spec = VolumeSpec(disk["volume"], disk["type"], disk["virt_disk_size"])
                pool = self._pool(disk["pool"])
                pool.create(spec)
                formats.set(pool.volume_path(spec.name), disk["type"])

    def finish(self, instance: Any, guest: Any) -> None:
        """Keep the formats of the guest's disks, now that it runs here."""
        formats = FormatRecord(instance)
        for disk in guest.get_all_disks():
            if isinstance(disk, VolumeDisk) and disk.source_path:
                formats.set(disk.source_path, disk.driver_format)
        self.forget(instance)

    def forget(self, instance: Any) -> None:
        """Take what the pools hold of the instance for its own again."""
        own = volume_name(instance.uuid, "")
        for name in [name for name in self._storage.coming if name.startswith(own)]:
            del self._storage.coming[name]
        if os.path.exists(_expected(instance)):
            os.unlink(_expected(instance))


def refuse_to_copy(pool: Pool) -> None:
    """Refuse to copy the disks of a running guest into or out of a pool.

    :raises MigrationPreCheckError: QEMU reaches the pool's volumes by itself, and libvirt copies no
        disk between two clusters
    """
    if pool.network("") is not None:
        raise exception.MigrationPreCheckError(
            reason=_(
                "the hosts do not share storage pool %s, and disks in Ceph are not copied while "
                "their guest runs: migrate it cold"
            )
            % pool.name
        )


def filled_by_qemu(disks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those of a guest's disks that QEMU copies, as nova describes disks.

    :raises MigrationError: a disk is no volume, or cannot be made as it is at the source
    """
    found = []
    for disk in disks:
        if "volume" not in disk:
            raise exception.MigrationError(
                reason=_("%s is not a volume of a storage pool") % disk["path"]
            )
        if disk["backing_file"] and not CONF.use_cow_images:
            raise exception.MigrationError(
                reason=_(
                    "%s lies over a cached image, and this host makes no such disks: set "
                    "use_cow_images alike on both hosts"
                )
                % disk["path"]
            )
        if not disk["volume"].endswith(f"_{_CONFIG_DRIVE}"):
            found.append(disk)
    return found


def as_volumes(
    storage: Storage, instance: Any, described: list[dict[str, Any]], disks: list[LegacyDisk]
) -> list[dict[str, Any]]:
    """Return nova's descriptions of legacy disks as those of the volumes that they become.

    :param disks: the disks themselves
    """
    by_source = {disk.source: disk.name for disk in disks}
    whole = {"backing_file": ""} if are_copied_whole(instance, disks) else {}
    found = []
    for disk in described:
        name = by_source.get(disk["path"])
        place = {}
        if name is not None:
            pool = storage.pool_for(name).name
            place = {"pool": pool, "volume": volume_name(instance.uuid, name)}
        found.append({**disk, **place, **whole, "type": format_there(disk["type"])})
    return found


def format_there(driver_format: str) -> str:
    """Return the format of the volume that a disk of a format is copied into.

    Where new disks are no qcow2 volumes the pool may be one that has none.
    """
    return driver_format if CONF.use_cow_images else "raw"


def are_copied_whole(instance: Any, disks: list[LegacyDisk]) -> bool:
    """Tell whether legacy disks are copied with what they lie over.

    They are if that is something that the destination cannot get: a file system or swap that this
    host has made, or the image of an instance that was shelved; or if it makes no such disks.
    """
    own = imagecache.get_cache_fname(instance.image_ref or "") if CONF.use_cow_images else None
    files = [disk.source for disk in disks if disk.is_file and disk.format == "qcow2"]
    return bool({libvirt_utils.get_disk_backing_file(file) for file in files} - {own, None, ""})


def become_volumes(guest: Any, moved: Mapping[str, Sequence[str]], path_of: PathOf) -> None:
    """Let a guest name volumes at the destination in place of nova's own disks.

    :param moved: pool and volume by the source of each disk
    :param path_of: tells where a volume lies at the destination
    """
    disks = [disk for disk in guest.get_all_disks() if disk.source_path in moved]
    guest.new_volumes = {}
    for disk in disks:
        pool, volume = moved[disk.source_path]
        guest.new_volumes[disk.target_dev] = VolumeDisk.of(disk, pool, volume)
    sources = {disk.source_path for disk in disks}
    guest.boot_at_destination = {
        source: path_of(*place) for source, place in moved.items() if source not in sources
    }


def send_rest(storage: Storage, instance: Any, shared: Collection[str], there: PoolThere) -> None:
    """Send the volumes that the destination has not made.

    :param shared: names of the pools that the destination has, too
    """
    for pool, volume in storage.placed(instance.uuid):
        if pool.name not in shared and volume.name not in there(pool.name).names(volume.name):
            LOG.info("Sending volume %s of pool %s", volume.name, pool.name, instance=instance)
            pool.send(volume.name, there(pool.name))


def _expected(instance: Any) -> str:
    return libvirt_utils.get_instance_path(instance) + "_arriving.json"
