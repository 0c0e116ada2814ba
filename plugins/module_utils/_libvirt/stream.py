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
