# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves the bytes of a volume through a libvirt stream, without what is empty in it.

Memory stays flat: one message at a time, see https://libvirt.org/html/libvirt-libvirt-stream.html.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any, Protocol

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import OperationFailed

# The most bytes that libvirt takes in one message of a stream.
CHUNK = 262120
_ZEROS = bytes(CHUNK)
# virStreamRecvFlags: return at a hole, and what it returns then.
_STOP_AT_HOLE = 1
_AT_HOLE = -3


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
        raise OperationFailed("The file became shorter while it was read.")
    return chunk


class _Sender:
    """A sink that sends on; ``stream`` is a virStream that a sparse upload has been begun on."""

    def __init__(self, stream: Any) -> None:
        self.data = stream.send
        self.hole = stream.sendHole


def send(stream: Any, file: int, length: int, total: int) -> None:
    """Send the first bytes of a file, zeros up to a total, and finish the stream.

    A hole makes the daemon cut the volume there, so that the end has to be told, too.

    :param stream: a virStream that a sparse upload has been begun on
    :raises OperationFailed: if the file turns out to be shorter
    """
    pour(file, _Sender(stream), length)
    if total > length:
        stream.sendHole(total - length)
    stream.finish()


def receive(stream: Any, sink: Sink) -> None:
    """Hand all that comes to a sink, and finish the stream.

    :param stream: a virStream that a sparse download has been begun on
    """
    while True:
        chunk = stream.recvFlags(CHUNK, _STOP_AT_HOLE)
        if chunk == _AT_HOLE:
            sink.hole(stream.recvHole())
        elif chunk:
            sink.data(chunk)
        else:
            break
    stream.finish()
