# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves the bytes of a volume through a libvirt stream, without what is empty in it.

Memory stays flat: one message at a time, see https://libvirt.org/html/libvirt-libvirt-stream.html.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.sparse import (
    CHUNK,
    Sink,
    pour,
)

# virStreamRecvFlags: return at a hole, and what it returns then.
_STOP_AT_HOLE = 1
_AT_HOLE = -3


class _Sender:
    """A sink that sends on; ``stream`` is a virStream that a sparse upload has been begun on.

    ``last`` is where the last data lies: offset and length in bytes.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._offset = 0
        self.last = 0, 0

    def data(self, chunk: bytes) -> None:
        self._stream.send(chunk)
        self.last = self._offset, len(chunk)
        self._offset += len(chunk)

    def hole(self, length: int) -> None:
        self._stream.sendHole(length)
        self._offset += length


def send(stream: Any, file: int, length: int, total: int) -> tuple[int, int]:
    """Send the first bytes of a file, zeros up to a total, and finish the stream.

    A hole makes the daemon cut the volume there, so that the end has to be told, too.

    :param stream: a virStream that a sparse upload has been begun on
    :returns: where the last data lies, offset and length: what the daemon may not have written
        yet, and tells nothing about if it fails
    :raises OperationFailed: if the file turns out to be shorter
    """
    sender = _Sender(stream)
    pour(file, sender, length)
    if total > length:
        sender.hole(total - length)
    stream.finish()
    return sender.last


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


def read(stream: Any) -> bytes:
    """All that comes, which is to be little; finishes the stream.

    :param stream: a virStream that a download has been begun on
    """
    chunks = []
    while chunk := stream.recv(CHUNK):
        chunks.append(chunk)
    stream.finish()
    return b"".join(chunks)
