# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Bytes that go into volumes through libvirt's streams, with their holes."""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any

import libvirt

#: Bytes that are read from a file at once.
_CHUNK = 1024**2


class LostBytesError(Exception):
    """A volume does not hold what libvirt has taken for it."""


class Sink:
    """The bytes of a volume, as they come.

    :param connection: the volume's connection to libvirt
    :param volume: libvirt's volume
    :param length: how many bytes will come, holes included
    """

    def __init__(self, connection: Any, volume: Any, length: int) -> None:
        self._connection = connection
        self._volume = volume
        self._stream = connection.newStream(0)
        volume.upload(self._stream, 0, length, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
        self._offset = 0
        self._last = 0, b""

    def data(self, data: bytes) -> None:
        """Take the next bytes."""
        view = memoryview(data)
        while view:
            # A stream may take fewer than it is given.
            view = view[self._stream.send(bytes(view)) :]
        self._last = self._offset, data
        self._offset += len(data)

    def hole(self, length: int) -> None:
        """Leave out the next bytes, which are zeroes."""
        self._stream.sendHole(length)
        self._offset += length

    def finish(self) -> None:
        """Wait until all is written.

        Libvirt writes in the order in which it gets the bytes, and stops at the first error. One
        that comes after the end of the stream it does not tell: so the last bytes are looked at.

        :raises LostBytesError: they have not been written
        """
        self._stream.finish()
        offset, data = self._last
        if data and self._read(offset, len(data)) != data:
            raise LostBytesError(
                f"{self._volume.path()} does not hold what was written to it: is there no space "
                "left on device?"
            )

    def _read(self, offset: int, length: int) -> bytes:
        stream = self._connection.newStream(0)
        self._volume.download(stream, offset, length, 0)
        found = bytearray()
        stream.recvAll(lambda _stream, data, _opaque: found.extend(data), None)
        stream.finish()
        return bytes(found)

    def abort(self) -> None:
        """Give up: a volume that a stream writes to cannot be deleted."""
        with contextlib.suppress(libvirt.libvirtError):
            self._stream.abort()


@contextlib.contextmanager
def filling(connection: Any, volume: Any, length: int) -> Iterator[Sink]:
    """Give what takes a volume's bytes for the length of a ``with`` block.

    :raises LostBytesError: not all has been written
    """
    sink = Sink(connection, volume, length)
    try:
        yield sink
        sink.finish()
    except BaseException:
        sink.abort()
        raise


def read_into(sink: Sink, path: str) -> None:
    """Let a local file's bytes go into a volume; holes stay holes."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        while (here := file.tell()) < size:
            data = _next_data(file.fileno(), here, size)
            if data > here:
                sink.hole(data - here)
                file.seek(data)
                continue
            end = os.lseek(file.fileno(), here, os.SEEK_HOLE)
            file.seek(here)
            sink.data(file.read(min(end - here, _CHUNK)))


def _next_data(descriptor: int, here: int, size: int) -> int:
    """Return where a file's next data begins, its end if none follows."""
    try:
        return os.lseek(descriptor, here, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size
