# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Live migration: the volumes of a running guest on the host that it goes to.

Hosts that share the pool share the volumes, and nothing is copied. Otherwise the destination makes
empty volumes of the same names, and QEMU copies what the guest's disks hold into them while it
runs. What QEMU does not copy (the config drive, a kernel, a ramdisk) the source sends.

Libvirt does not find out that a disk which is named by pool and volume exists at the destination
and refuses to copy into it, so that during the migration such disks are named by path. The
definition that stays names them by pool and volume, and a guest takes them from there.
"""

import os
from typing import Any

import nova.conf
from nova import exception
from nova.i18n import _
from nova.virt.libvirt import utils as libvirt_utils
from oslo_log import log as logging

from nova_polyvisor.libvirt.config import VolumeDisk
from nova_polyvisor.libvirt.formats import FormatRecord
from nova_polyvisor.libvirt.pool import Pool, VolumeSpec
from nova_polyvisor.libvirt.records import write_record
from nova_polyvisor.libvirt.storage import Storage, disk_name, volume_name

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

_CONFIG_DRIVE = "disk.config"


class Arrivals:
    """Guests that come to this host while they run.

    :param storage: the host's pools
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def expect(self, instance: Any, shared: bool) -> None:
        """See to it that the pool is as the migration needs it, before anything is made.

        :param shared: whether the guest's volumes are in this pool already
        :raises DestinationDiskExists: they are, though they ought not to be
        """
        self._storage.disks.refresh()
        found = self._storage.volumes_of(instance.uuid)
        if found and not shared:
            raise exception.DestinationDiskExists(path=found[0].path)
        if not shared:
            # From here on what has the instance's name in the pool is this migration's.
            write_record(_expected(instance), {})

    def is_expected(self, instance: Any) -> bool:
        """Tell whether the instance's volumes in the pool are those of a migration to here."""
        return os.path.exists(_expected(instance))

    def make_empty(self, instance: Any, disks: list[dict[str, Any]]) -> None:
        """Make the volumes that lie over no cached image, for QEMU to fill.

        :param disks: nova's descriptions of the guest's disks at the source
        """
        formats = FormatRecord(instance)
        for disk in disks:
            if not disk["backing_file"]:
                name = os.path.basename(disk["path"])
                spec = VolumeSpec(name, disk["type"], disk["virt_disk_size"])
                self._storage.disks.create(spec)
                formats.set(self._storage.disks.volume_path(name), disk["type"])

    def finish(self, instance: Any, guest: Any) -> None:
        """Keep the formats of the guest's disks, now that it runs here."""
        formats = FormatRecord(instance)
        for disk in guest.get_all_disks():
            if isinstance(disk, VolumeDisk) and disk.source_path:
                formats.set(disk.source_path, disk.driver_format)
        self.forget(instance)

    def forget(self, instance: Any) -> None:
        """Take what the pool holds of the instance for its own again."""
        if self.is_expected(instance):
            os.unlink(_expected(instance))


def filled_by_qemu(instance: Any, disks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those of a guest's disks that QEMU copies, as nova describes disks.

    :raises MigrationError: a disk is no volume, or cannot be made as it is at the source
    """
    found = []
    for disk in disks:
        name = os.path.basename(disk["path"])
        if disk_name(instance.uuid, name) == name:
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
        if disk_name(instance.uuid, name) != _CONFIG_DRIVE:
            found.append(disk)
    return found


def send_rest(storage: Storage, instance: Any, there: Pool) -> None:
    """Send the volumes that the destination has not made."""
    made = there.names(volume_name(instance.uuid, ""))
    for volume in storage.own_volumes(instance.uuid):
        if volume.name not in made:
            LOG.info("Sending volume %s", volume.name, instance=instance)
            storage.disks.send(volume.name, there)


def _expected(instance: Any) -> str:
    return libvirt_utils.get_instance_path(instance) + "_arriving.json"
