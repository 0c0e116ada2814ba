# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the machine itself says about the paths and devices under a pool."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
from pathlib import Path

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused

# blkid's exit code where several signatures contradict each other.
_AMBIGUOUS = 8
# What blkid calls otherwise than libvirt.
_NAMES = {"hfsplus": "hfs+", "LVM2_member": "lvm2", "sgi": "dvh"}


def require_directory(path: str, will_be_made: bool) -> None:
    """Refuse a path that is no directory, or that cannot become one.

    :param will_be_made: whether the pool's build makes a directory that is not there
    """
    if os.path.isdir(path):
        return
    if os.path.lexists(path):
        raise Refused(f"{path} is no directory. Choose another target path, or move it away.")
    if not will_be_made:
        raise Refused(f"{path} does not exist. Create it, or let build=if_needed do it.")
    parent = next(parent for parent in Path(path).parents if os.path.lexists(parent))
    if not parent.is_dir():
        raise Refused(f"{path} cannot be made: {parent} is no directory.")


def require_block_device(device: str) -> None:
    """Refuse a path that is no block device."""
    try:
        mode = os.stat(device).st_mode
    except OSError as error:
        raise Refused(f"The device {device} cannot be used: {error.strerror}.") from error
    if not stat.S_ISBLK(mode):
        raise Refused(f"{device} is no block device.")


def require_free(device: str, mount_point: str | None) -> None:
    """Refuse a block device that the system uses: mounted, swap, part of an array or volume group.

    :param mount_point: where it may be mounted all the same
    """
    mounted = _mount_points(device)
    if mounted == {mount_point}:
        return
    if mounted:
        raise Refused(
            f"The device {device} is mounted at {', '.join(sorted(mounted))}. Unmount it first, "
            "or choose another device."
        )
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Refused(
                f"The device {device} is in use: it, or a partition of it, is mounted, is swap "
                "space, or belongs to an array or a volume group. Choose another device."
            ) from error


def _mount_points(device: str) -> set[str]:
    number = os.stat(device).st_rdev
    wanted = f"{os.major(number)}:{os.minor(number)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        rows = (line.split() for line in table)
        return {_unescaped(row[4]) for row in rows if row[2] == wanted}


def _unescaped(path: str) -> str:
    """A path of /proc/self/mountinfo, which writes blanks as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def signature(device: str, prefer_table: bool) -> str | None:
    """What a block device carries, as libvirt calls it: ``ext4``, ``gpt``, ``lvm2``; or None.

    None also where blkid, which looks, is not installed; libvirt itself looks again.

    :param prefer_table: whether a partition table counts for more than a file system
    """
    command = ["blkid", "--probe", "--output", "export", device]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    if run.returncode == _AMBIGUOUS:
        return "more than one format"
    pairs = dict(line.split("=", 1) for line in run.stdout.splitlines() if "=" in line)
    table, other = pairs.get("PTTYPE"), pairs.get("TYPE")
    found = (table or other) if prefer_table else (other or table)
    return _NAMES.get(found, found)
