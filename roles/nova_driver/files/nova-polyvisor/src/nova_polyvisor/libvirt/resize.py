# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Resize and cold migration: what becomes of the volumes of an instance that leaves its host.

Libvirt renames no volumes, so that nova's way with directories, which keeps the old disks under
another name until the user confirms, is turned round.

Volumes in a pool that the other host has one of its own for, under the same name
    They are sent to that host under their own names. Those here stay as they are until the
    move is confirmed, which deletes them, or reverted, which uses them again. Swap is not sent:
    the other host makes it anew.
On the same host, or in a pool that the other host shares
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
from nova_polyvisor.libvirt.pool import Pool, PoolError, as_qemu_knows
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

    ``dest`` is the address of the other host, None on the same host; ``own`` are the names of the
    pools that it has others for; ``formats`` and ``pools`` are those of the instance's volumes by
    name; ``saved`` tells whether there are copies of the volumes in the other pools.
    """

    state: str
    dest: str | None
    own: list[str]
    formats: dict[str, str]
    pools: dict[str, str]
    saved: bool

    def sent(self) -> dict[str, str]:
        """Return the names of the volumes that are sent, with their pools."""
        return {name: pool for name, pool in self.pools.items() if pool in self.own}

    def kept(self) -> dict[str, str]:
        """Return the names of the volumes that both hosts see, with their pools."""
        return {name: pool for name, pool in self.pools.items() if pool not in self.own}


class Departures:
    """Moves of instances from this host.

    :param storage: the host's pools
    :param reach: gives the pools of another host
    """

    def __init__(self, storage: Storage, reach: Reach) -> None:
        self._storage = storage
        self._reach = reach

    def check(self, instance: Any, dest: str | None, anywhere: bool) -> list[str]:
        """Find out which volumes are to be sent, before anything has changed.

        :param dest: address of the other host, None for this one
        :param anywhere: whether the instance may yet get volumes in any of the pools
        :returns: the names of the pools whose volumes are to be sent
        :raises PoolError: the other host is not reached, lacks a pool, or has other volumes of
            these names
        """
        self.resume(instance)
        pools = self._storage.pools if anywhere else self._storage.pools_of(instance.uuid)
        if dest is None or not pools:
            return []
        with self._reach(dest) as there:
            own = [pool.name for pool in pools if not is_shared(pool, there(pool.name))]
            for name in own:
                _refuse_left(instance.uuid, there(name), dest)
        return own

    def leave(self, instance: Any, dest: str | None, own: list[str], save: bool) -> str:
        """Send an instance's volumes, or save copies of them; the guest is shut off.

        :param own: what ``check`` has returned
        :param save: whether the volumes are going to change, if they are not sent
        :returns: what ``arrive`` needs to know
        """
        formats = FormatRecord(instance)
        found = self._storage.placed(instance.uuid)
        known = {v.name: formats.get(v.path) or as_qemu_knows(v.format) for _pool, v in found}
        pools = {volume.name: pool.name for pool, volume in found}
        move = Move(_LEAVING, dest, own, known, pools, save)
        self._write(instance, move)
        try:
            if dest is not None and own:
                self._send(instance.uuid, move.sent(), dest)
            if save:
                self._save(instance.uuid, move.kept())
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
        shared = [pool.name for pool in self._storage.pools if pool.name not in move.own]
        self._storage.delete(instance.uuid, keep=shared)
        self._storage.delete(instance.uuid, suffix=SAVED)

    def come_back(self, instance: Any) -> None:
        """Make the instance's volumes what they were when it left."""
        move = self._read(instance)
        if move is None:
            return
        self._storage.refresh()
        if move.saved and move.state != _LEAVING:
            move.state = _RETURNING
            self._write(instance, move)
            self._put_back(instance.uuid, move)
        self._undo(instance, move)

    def resume(self, instance: Any) -> None:
        """Undo a departure, or finish a return, that a crash has cut short."""
        move = self._read(instance)
        if move is not None and move.state != _LEFT:
            LOG.warning("Going on with an interrupted move (%s)", move.state, instance=instance)
            self.come_back(instance)
        for pool in self._storage.pools:
            pool.finish_resizes(volume_name(instance.uuid, ""))

    def _pool(self, name: str) -> Pool:
        """Return a pool that a move has used.

        :raises PoolError: this host has it no more
        """
        pool = self._storage.pool(name)
        if pool is None:
            raise PoolError(
                reason=f"Storage pool {name} holds disks, and [libvirt_storage] names it no more"
            )
        return pool

    def _send(self, uuid: str, volumes: dict[str, str], dest: str) -> None:
        with self._reach(dest) as there:
            for name, pool in volumes.items():
                if disk_name(uuid, name) != _SWAP:
                    LOG.info("Sending volume %s of pool %s to %s", name, pool, dest)
                    self._pool(pool).send(name, there(pool))

    def _save(self, uuid: str, volumes: dict[str, str]) -> None:
        for name, pool_name in volumes.items():
            # Not the kernel and the ramdisk, which never change.
            if disk_name(uuid, name).startswith("disk"):
                pool = self._pool(pool_name)
                pool.delete(name + SAVED)
                pool.send(name, pool, name + SAVED)

    def _put_back(self, uuid: str, move: Move) -> None:
        for pool, volume in self._storage.placed(uuid):
            if volume.name not in move.formats and pool.name not in move.own:
                # A disk that only the new flavor has.
                pool.delete(volume.name)
        for name, pool_name in move.kept().items():
            pool = self._pool(pool_name)
            # What has no copy has been put back, and its copy deleted, before a crash.
            if pool.volume(name + SAVED) is not None:
                pool.delete(name)
                pool.send(name + SAVED, pool, name)

    def _undo(self, instance: Any, move: Move) -> None:
        """Delete what a departure has made; the instance's volumes here are those it had."""
        self._storage.delete(instance.uuid, suffix=SAVED)
        if move.dest is not None and move.own:
            self._take_back(instance, move.dest, move.sent())
        self._forget(instance)

    def _take_back(self, instance: Any, dest: str, volumes: dict[str, str]) -> None:
        try:
            with self._reach(dest) as there:
                for name, pool in volumes.items():
                    there(pool).delete(name)
        except PoolError as error:
            LOG.warning(
                "Volumes sent to %(dest)s may be left there: %(names)s: %(error)s",
                {"dest": dest, "names": ", ".join(volumes), "error": error},
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
    :raises ResizeError: the source keeps disks in another way than as volumes, or in pools that
        this host does not have
    """
    sent = json.loads(disk_info)
    if not isinstance(sent, dict) or "formats" not in sent:
        raise exception.ResizeError(
            reason=_(
                "the disks of this instance are not volumes of a storage pool: the host that it "
                "comes from has another compute_driver"
            )
        )
    storage.refresh()
    formats = FormatRecord(instance)
    for name, driver_format in sent["formats"].items():
        found = storage.pool_of(name).volume(name)
        if found is not None:
            formats.set(found.path, driver_format)
        elif disk_name(instance.uuid, name) != _SWAP:
            raise exception.ResizeError(
                reason=_(
                    "%s is in none of the storage pools that [libvirt_storage] names on this "
                    "host: name all of them alike on both hosts"
                )
                % name
            )
    _drop_other_swap(storage, instance)


def _drop_other_swap(storage: Storage, instance: Any) -> None:
    """Delete swap of another size than the flavor's: nova makes what is missing."""
    name = volume_name(instance.uuid, _SWAP)
    pool = storage.pool_of(name)
    swap = pool.volume(name)
    if swap is not None and swap.capacity != instance.flavor.swap * units.Mi:
        pool.delete(name)


def _refuse_left(uuid: str, there: Pool, dest: str) -> None:
    """Refuse to send volumes to where there are others of the instance.

    :raises PoolError: there are
    """
    there.refresh()
    left = there.names(volume_name(uuid, ""))
    if left:
        raise PoolError(
            reason=f"Storage pool {there.name} of {dest} has volumes of this instance already: "
            f"{', '.join(left)}. Delete them there if they are left from an earlier move"
        )


def _places(instance: Any) -> tuple[str, str]:
    """Return where the record of a move lies: after nova's rename of the directory, and before."""
    directory = libvirt_utils.get_instance_path(instance)
    return os.path.join(f"{directory}_resize", "move.json"), os.path.join(directory, "move.json")
