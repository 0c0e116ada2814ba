# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads and copies files without what is empty in them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Protocol

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import OperationFailed

# The most bytes that libvirt takes in one message of a stream.
CHUNK = 262120
_ZEROS = bytes(CHUNK)
_SHORTER = "The file became shorter while it was read."
# Two file systems, or one of them, between which the kernel does not copy by itself.
_NOT_IN_KERNEL = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class Sink(Protocol):
    """Takes what comes out of a volume, in order."""

    def data(self, chunk: bytes) -> None:
        """Take bytes."""

    def hole(self, length: int) -> None:
        """Take so many zeros."""


def is_zero(chunk: bytes) -> bool:
    """Whether at most CHUNK bytes are all zero."""
    return chunk == _ZEROS[: len(chunk)]


def extents(file: int, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """The parts of a file from one offset to another: start, end, whether there is data.

    :param file: a descriptor; a file system that knows no holes has one part of data
    """
    while start < end:
        try:
            data = min(os.lseek(file, start, os.SEEK_DATA), end)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            data = end
        if data > start:
            yield start, data, False
        if data < end:
            start = min(os.lseek(file, data, os.SEEK_HOLE), end)
            yield data, start, True
        else:
            start = end


def pour(file: int, sink: Sink, length: int) -> None:
    """Hand the first bytes of a file (a descriptor) to a sink."""
    for start, end, is_data in extents(file, 0, length):
        if not is_data:
            sink.hole(end - start)
            continue
        while start < end:
            chunk = _chunk(file, start, end)
            sink.data(chunk)
            start += len(chunk)


def _chunk(file: int, start: int, end: int) -> bytes:
    chunk = os.pread(file, min(CHUNK, end - start), start)
    if not chunk:
        raise OperationFailed(_SHORTER)
    return chunk


def copy(source: int, target: int, length: int) -> None:
    """Copy the first bytes of a file into an empty one, of that length then (two descriptors).

    The kernel copies, or shares the blocks, where it can.

    :raises OperationFailed: if the source becomes shorter
    :raises OSError: if the target cannot be written
    """
    for start, end, is_data in extents(source, 0, length):
        while is_data and start < end:
            start += _copied(source, target, start, end - start)
    os.ftruncate(target, length)


def _copied(source: int, target: int, offset: int, length: int) -> int:
    """Copy some of the bytes at an offset: how many."""
    try:
        copied = os.copy_file_range(source, target, length, offset, offset)
    except OSError as error:
        if error.errno not in _NOT_IN_KERNEL:
            raise
        return os.pwrite(target, _chunk(source, offset, offset + length), offset)
    if not copied:
        raise OperationFailed(_SHORTER)
    return copied
