# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Copies of disks for Glance, made by libvirt: nova itself may not read a guest's volumes."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import nova.conf
import nova.privsep.path
from nova import exception
from nova.i18n import _
from nova.virt.libvirt import config as vconfig
from nova.virt.libvirt import utils as libvirt_utils

from nova_polyvisor.libvirt.pool import Pool, VolumeInfo, VolumeSpec
from nova_polyvisor.libvirt.waiting import poll

CONF = nova.conf.CONF

#: Seconds that a block job of a running guest may stand still before it is given up.
STALLED_AFTER = 600.0

#: Ending of the name of a volume that is made for a snapshot and goes with it.
_TEMPORARY = ".snapshot"


def copy_stopped(
    pool: Pool, volume: VolumeInfo, driver_format: str, target: str, out_format: str
) -> None:
    """Write what the guest would see as a disk into a file; nothing may write to the disk.

    :param driver_format: the volume's format
    :param target: path of the new file
    :param out_format: its format: qcow2, raw, ...
    """
    stored = f"{target}.stored"
    try:
        with _without_backing(pool, volume, driver_format) as name:
            pool.download(name, stored)
        _deliver(stored, driver_format, target, out_format)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(stored)


def _deliver(stored: str, stored_format: str, target: str, out_format: str) -> None:
    """Make a complete copy of a disk the file that was asked for."""
    if stored_format == out_format and not CONF.libvirt.snapshot_compression:
        os.rename(stored, target)
    else:
        libvirt_utils.extract_snapshot(stored, stored_format, target, out_format)


@contextlib.contextmanager
def _without_backing(pool: Pool, volume: VolumeInfo, driver_format: str) -> Iterator[str]:
    """Give the name of a volume that has all of a disk's content in itself."""
    if volume.backing is None or driver_format == "raw":
        yield volume.name
        return
    name = volume.name + _TEMPORARY
    pool.delete(name)
    pool.clone(VolumeSpec(name, driver_format, volume.capacity), pool, volume.name, driver_format)
    try:
        yield name
    finally:
        pool.delete(name)


def copy_running(
    guest: Any,
    volume: VolumeInfo,
    target: str,
    out_format: str,
    frozen: Callable[[], contextlib.AbstractContextManager[None]],
) -> None:
    """Write a running guest's disk into a file.

    The guest writes to both places until the copy is complete, and goes on with its own disk.

    :param volume: the guest's disk
    :param target: path of the new file
    :param out_format: its format
    :param frozen: gives a context in which the guest's file systems are at rest
    :raises InternalError: the copy stands still
    """
    mirror = f"{target}.mirror"
    device = guest.get_block_device(guest.get_disk(volume.path).target_dev)
    # A job that an earlier attempt has left would be in the way.
    if device.get_job_info() is not None:
        device.abort_job()
    libvirt_utils.create_image(mirror, "qcow2", volume.capacity)
    device.copy(_mirror_disk(mirror).to_xml(), reuse_ext=True, transient=True)
    try:
        complete = poll(device.is_job_complete, STALLED_AFTER, lambda: _position(device))
        if not complete:
            raise exception.InternalError(
                _("the copy of %(disk)s made no progress for %(seconds)d seconds")
                % {"disk": volume.path, "seconds": STALLED_AFTER}
            )
        with frozen():
            device.abort_job()
    except BaseException:
        if device.get_job_info() is not None:
            device.abort_job()
        raise
    # QEMU has written the file, as another user than nova's.
    nova.privsep.path.chown(mirror, uid=os.geteuid())
    _deliver(mirror, "qcow2", target, out_format)


def _position(device: Any) -> tuple[int, int] | None:
    job = device.get_job_info()
    return None if job is None else (job.cur, job.end)


def _mirror_disk(path: str) -> Any:
    disk = vconfig.LibvirtConfigGuestDisk()
    disk.source_type = "file"
    disk.source_path = path
    disk.driver_format = "qcow2"
    disk.target_dev = "vda"
    disk.target_bus = "virtio"
    return disk
