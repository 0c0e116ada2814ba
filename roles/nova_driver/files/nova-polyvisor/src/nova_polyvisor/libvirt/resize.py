# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Resize and cold migration: what becomes of the volumes of an instance that leaves its host.

Libvirt renames no volumes, so that nova's way with directories, which keeps the old disks under
another name until the user confirms, is turned round.

To a host with a pool of its own
    The volumes are sent to that host under their own names. Those here stay as they are until the
    move is confirmed, which deletes them, or reverted, which uses them again. Swap is not sent:
    the other host makes it anew.
On the same host, or to a host that shares the pool
    Nothing is sent. Where the new flavor has other disks, copies of the old ones are saved beside
    them as ``<uuid>_<disk>.before``, and the volumes themselves become larger. Confirming deletes
    the copies; reverting puts them back. Where the disks stay as they are no copy is made: a
    revert then keeps what the guest has written meanwhile.

What is going on stands in a file in the instance's directory, ``move.json``, which nova's own
rename of that directory takes along to ``<uuid>_resize``. At any moment either the volumes or their
saved copies are whole, and the file tells which: ``resume`` goes on from there after a crash.
"""

import dataclasses
import json
import os
from typing import Any

from nova import exception
from nova.i18n import _
from nova.virt.libvirt import utils as libvirt_utils
from oslo_log import log as logging
from oslo_utils import units

from nova_polyvisor.libvirt.formats import FormatRecord
from nova_polyvisor.libvirt.pool import Pool, PoolError, VolumeInfo, as_qemu_knows
from nova_polyvisor.libvirt.records import read_record, write_record
from nova_polyvisor.libvirt.remote import Reach, is_shared
from nova_polyvisor.libvirt.storage import SAVED, Storage, disk_name, volume_name

LOG = logging.getLogger(__name__)

#: States of a move: volumes are being sent or saved; that is done; saved copies are being put back.
_LEAVING, _LEFT, _RETURNING = "leaving", "left", "returning"

_SWAP = "disk.swap"


@dataclasses.dataclass
class Move:
    """A move of an instance, as its source keeps it in mind.

    ``dest`` is the address of the host that the volumes are sent to, None where the pool is the
    same; ``formats`` are those of the instance's volumes by name; ``saved`` tells whether there
    are copies.
    """

    state: str
    dest: str | None
    formats: dict[str, str]
    saved: bool


class Departures:
    """Moves of instances from this host.

    :param storage: the host's pools
    :param reach: gives the disks pool of another host
    """

    def __init__(self, storage: Storage, reach: Reach) -> None:
        self._storage = storage
        self._reach = reach

    def check(self, instance: Any, dest: str | None) -> str | None:
        """Find out where the volumes are to be sent, before anything has changed.

        :param dest: address of the other host, None for this one
        :returns: ``dest``, or None if nothing is to be sent
        :raises PoolError: the other host is not reached, or has other volumes of these names
        """
        self.resume(instance)
        if dest is None:
            return None
        with self._reach(dest) as there:
            if is_shared(self._storage.disks, there):
                return None
            there.refresh()
            left = there.names(volume_name(instance.uuid, ""))
        if left:
            raise PoolError(
                reason=f"Storage pool {there.name} of {dest} has volumes of this instance already: "
                f"{', '.join(left)}. Delete them there if they are left from an earlier move"
            )
        return dest

    def leave(self, instance: Any, dest: str | None, save: bool) -> str:
        """Send an instance's volumes, or save copies of them; the guest is shut off.

        :param dest: what ``check`` has returned
        :param save: whether the volumes are going to change, if they are not sent
        :returns: what ``arrive`` needs to know
        """
        formats = FormatRecord(instance)
        found = self._storage.own_volumes(instance.uuid)
        known = {v.name: formats.get(v.path) or as_qemu_knows(v.format) for v in found}
        move = Move(_LEAVING, dest, known, save and dest is None)
        self._write(instance, move)
        try:
            if dest is not None:
                self._send(instance.uuid, found, dest)
            elif save:
                self._save(instance.uuid, known)
        except BaseException:
            self._undo(instance, move)
            raise
        move.state = _LEFT
        self._write(instance, move)
        return json.dumps({"formats": known})

    def confirm(self, instance: Any) -> None:
        """Delete what the instance has left here; it lives elsewhere, or is larger now."""
        move = self._read(instance)
        if move is None:
            return
        if move.dest is None:
            self._storage.delete(instance.uuid, suffix=SAVED)
        else:
            self._storage.delete(instance.uuid)

    def come_back(self, instance: Any) -> None:
        """Make the instance's volumes what they were when it left."""
        move = self._read(instance)
        if move is None:
            return
        self._storage.disks.refresh()
        if move.state == _LEAVING or move.dest is not None:
            self._undo(instance, move)
            return
        if move.saved:
            move.state = _RETURNING
            self._write(instance, move)
            self._put_back(instance.uuid, move.formats)
        self._storage.delete(instance.uuid, suffix=SAVED)
        self._forget(instance)

    def resume(self, instance: Any) -> None:
        """Undo a departure, or finish a return, that a crash has cut short."""
        move = self._read(instance)
        if move is not None and move.state != _LEFT:
            LOG.warning("Going on with an interrupted move (%s)", move.state, instance=instance)
            self.come_back(instance)
        self._storage.disks.finish_resizes(volume_name(instance.uuid, ""))

    def _send(self, uuid: str, volumes: list[VolumeInfo], dest: str) -> None:
        with self._reach(dest) as there:
            for volume in volumes:
                if disk_name(uuid, volume.name) != _SWAP:
                    LOG.info("Sending volume %s to %s", volume.name, dest)
                    self._storage.disks.send(volume.name, there)

    def _save(self, uuid: str, formats: dict[str, str]) -> None:
        disks = self._storage.disks
        for name in formats:
            # Not the kernel and the ramdisk, which never change.
            if disk_name(uuid, name).startswith("disk"):
                disks.delete(name + SAVED)
                disks.send(name, disks, name + SAVED)

    def _put_back(self, uuid: str, formats: dict[str, str]) -> None:
        disks = self._storage.disks
        for volume in self._storage.own_volumes(uuid):
            if volume.name not in formats:
                # A disk that only the new flavor has.
                disks.delete(volume.name)
        for name in formats:
            # What has no copy has been put back, and its copy deleted, before a crash.
            if disks.volume(name + SAVED) is not None:
                disks.delete(name)
                disks.send(name + SAVED, disks, name)

    def _undo(self, instance: Any, move: Move) -> None:
        """Delete what a departure has made; the instance's volumes here have not changed."""
        if move.dest is None:
            self._storage.delete(instance.uuid, suffix=SAVED)
        else:
            self._take_back(instance, move.dest, move.formats)
        self._forget(instance)

    def _take_back(self, instance: Any, dest: str, formats: dict[str, str]) -> None:
        try:
            with self._reach(dest) as there:
                for name in formats:
                    there.delete(name)
        except PoolError as error:
            LOG.warning(
                "Volumes sent to %(dest)s may be left there: %(names)s: %(error)s",
                {"dest": dest, "names": ", ".join(formats), "error": error},
                instance=instance,
            )

    def _read(self, instance: Any) -> Move | None:
        for path in _places(instance):
            record = read_record(path)
            if record is not None:
                return Move(**record)
        return None

    def _write(self, instance: Any, move: Move) -> None:
        saved_in, beside = _places(instance)
        path = saved_in if os.path.exists(os.path.dirname(saved_in)) else beside
        write_record(path, dataclasses.asdict(move))

    def _forget(self, instance: Any) -> None:
        for path in _places(instance):
            if os.path.exists(path):
                os.unlink(path)


def arrive(storage: Storage, instance: Any, disk_info: str) -> None:
    """Take over the volumes of an instance that has come here.

    :param disk_info: what ``Departures.leave`` has returned at the source
    :raises ResizeError: the source keeps disks in another way than as volumes
    """
    sent = json.loads(disk_info)
    if not isinstance(sent, dict) or "formats" not in sent:
        raise exception.ResizeError(
            reason=_(
                "the disks of this instance are not volumes of a storage pool: the host that it "
                "comes from has another compute_driver"
            )
        )
    storage.disks.refresh()
    formats = FormatRecord(instance)
    for name, driver_format in sent["formats"].items():
        found = storage.disks.volume(name)
        if found is not None:
            formats.set(found.path, driver_format)
    _drop_other_swap(storage.disks, instance)


def _drop_other_swap(disks: Pool, instance: Any) -> None:
    """Delete swap of another size than the flavor's: nova makes what is missing."""
    swap = disks.volume(volume_name(instance.uuid, _SWAP))
    if swap is not None and swap.capacity != instance.flavor.swap * units.Mi:
        disks.delete(swap.name)


def _places(instance: Any) -> tuple[str, str]:
    """Return where the record of a move lies: after nova's rename of the directory, and before."""
    directory = libvirt_utils.get_instance_path(instance)
    return os.path.join(f"{directory}_resize", "move.json"), os.path.join(directory, "move.json")
