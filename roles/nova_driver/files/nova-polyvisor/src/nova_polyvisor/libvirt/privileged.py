# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""What nova-compute may not do as its own user: nova's privilege-separation daemon does it."""

import contextlib
import errno
import os
from collections.abc import Callable
from typing import TypeVar

import nova.privsep

_Function = TypeVar("_Function", bound=Callable[..., object])
_as_root: Callable[[_Function], _Function] = nova.privsep.sys_admin_pctxt.entrypoint


@_as_root
def link(source: str, target: str) -> None:
    """Give a file a second name.

    A pool's directory is libvirt's, and Linux lets nobody link to a file of another user.

    :raises OSError: the file system has no hard links, or is another; or the name is taken
    """
    os.link(source, target, follow_symlinks=False)


@_as_root
def copy(source: str, target: str) -> None:
    """Write a file's bytes into another, which is there and has none yet; holes stay holes.

    The kernel copies, or lets both share what they hold.

    :raises OSError: one cannot be read, or the other not be written
    """
    with open(source, "rb") as file, open(target, "r+b") as copied:
        start, end = 0, os.fstat(file.fileno()).st_size
        while start < end:
            try:
                start = os.lseek(file.fileno(), start, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break
            stop = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            while start < stop:
                start += _copy_some(file.fileno(), copied.fileno(), start, stop - start)


def _copy_some(source: int, target: int, offset: int, length: int) -> int:
    """Copy bytes between two descriptors and return how many."""
    copied = 0
    with contextlib.suppress(OSError):
        # Not every kernel does this between two file systems, and it does what follows as well.
        copied = os.copy_file_range(source, target, length, offset, offset)
    if not copied:
        os.lseek(target, offset, os.SEEK_SET)
        copied = os.sendfile(target, source, offset, length)
    if not copied:
        raise OSError(errno.EIO, "the file became shorter while it was copied")
    return copied


@_as_root
def flush(path: str) -> None:
    """Wait until a file is on the disk, with its name."""
    for each in (path, os.path.dirname(path)):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@_as_root
def same_file(one: str, other: str) -> bool:
    """Tell whether two names are of one file; false where one of them is of none."""
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:
        return False
