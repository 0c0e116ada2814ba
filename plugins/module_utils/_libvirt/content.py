# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a volume holds what a file holds, told by reading both; and the file that it goes to.

What is empty is not read: neither sent by the daemon nor read from the file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from tempfile import mkstemp
from typing import Callable

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    OperationFailed,
    Refused,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import sparse
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Volume,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_client import (
    VolumeClient,
)


class _Differs(Exception):
    """The first difference has been met."""


@dataclass
class Memory:
    """What a run has found out about content already, so that it reads nothing twice."""

    same: bool | None = None

    def recall(self, look: Callable[[], bool]) -> bool:
        """What is known, or what ``look`` finds."""
        if self.same is None:
            self.same = look()
        return self.same

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Content becomes the same in here, or is anything if that fails."""
        self.same = None
        yield
        self.same = True


class _Comparison:
    """A sink that compares with a file; after the file's end everything has to be zero."""

    def __init__(self, file: int, length: int) -> None:
        self._file = file
        self._length = length
        self.offset = 0

    def data(self, chunk: bytes) -> None:
        own = os.pread(self._file, len(chunk), self.offset)
        if own != chunk and not (
            chunk.startswith(own)
            and self.offset + len(own) == self._length
            and sparse.is_zero(chunk[len(own) :])
        ):
            raise _Differs
        self.offset += len(chunk)

    def hole(self, length: int) -> None:
        end = min(self.offset + length, self._length)
        for start, stop, is_data in sparse.extents(self._file, self.offset, end):
            while is_data and start < stop:
                chunk = os.pread(self._file, min(sparse.CHUNK, stop - start), start)
                if not chunk or not sparse.is_zero(chunk):
                    raise _Differs
                start += len(chunk)
        self.offset += length


class _Zeros:
    """A sink that wants nothing but zeros."""

    def data(self, chunk: bytes) -> None:
        if not sparse.is_zero(chunk):
            raise _Differs

    def hole(self, length: int) -> None:
        """A hole is zeros."""


class _Writer:
    """A sink that writes a file with holes."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._offset = 0

    def data(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._file, view) :]
        self._offset += len(chunk)

    def hole(self, length: int) -> None:
        self._offset += length
        os.lseek(self._file, self._offset, os.SEEK_SET)

    def end(self) -> None:
        os.ftruncate(self._file, self._offset)


def _read(client: VolumeClient, volume: Volume, sink: sparse.Sink, length: int) -> None:
    """Hand so many bytes of a volume to a sink (0: all), from its file if that is at hand."""
    with _own_file(client, volume, os.O_RDONLY) as file:
        if file is None:
            client.download(volume, sink, length)
        else:
            sparse.pour(file, sink, length or os.fstat(file).st_size)


def _none_differs(client: VolumeClient, volume: Volume, sink: sparse.Sink, length: int) -> bool:
    try:
        _read(client, volume, sink, length)
    except _Differs:
        return False
    return True


@contextmanager
def _opened(path: str) -> Iterator[int]:
    """A descriptor of a file to read."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    try:
        yield file
    finally:
        os.close(file)


@contextmanager
def _own_file(client: VolumeClient, volume: Volume, how: int) -> Iterator[int | None]:
    """A descriptor of a volume's file, or None where this process cannot reach it.

    That the path is the same file for the daemon and for this process is told by its size and by
    the times of its last changes, to the nanosecond.
    """
    file = None
    if client.local and volume.root.get("type") == "file":
        with suppress(OSError):
            file = os.open(volume.path, how | os.O_CLOEXEC)
    try:
        yield file if file is not None and _is_file_of(file, volume) else None
    finally:
        if file is not None:
            os.close(file)


def _is_file_of(file: int, volume: Volume) -> bool:
    own = os.fstat(file)
    times = [volume.root.findtext(f"target/timestamps/{name}", "-1") for name in ("mtime", "ctime")]
    return (
        stat.S_ISREG(own.st_mode)
        and volume.root.findtext("physical") == str(own.st_size)
        and [int(Decimal(time) * 10**9) for time in times] == [own.st_mtime_ns, own.st_ctime_ns]
    )


def is_zero(client: VolumeClient, volume: Volume) -> bool:
    """Whether a volume holds nothing but zeros."""
    return _none_differs(client, volume, _Zeros(), 0)


def holds_file(client: VolumeClient, volume: Volume, path: str, whole: bool) -> bool:
    """Whether a volume holds what a file holds.

    :param whole: whether it must hold nothing but zeros after that
    """
    with _opened(path) as file:
        length = os.fstat(file).st_size
        comparison = _Comparison(file, length)
        same = _none_differs(client, volume, comparison, 0 if whole else length)
        return same and comparison.offset >= length


def is_file(client: VolumeClient, volume: Volume, path: str) -> bool:
    """Whether a file holds what a volume holds, and is of its length."""
    if not os.path.exists(path):
        return False
    with _opened(path) as file:
        length = os.fstat(file).st_size
        comparison = _Comparison(file, length)
        return _none_differs(client, volume, comparison, 0) and comparison.offset == length


def send(client: VolumeClient, volume: Volume, path: str, length: int, total: int) -> None:
    """Overwrite a volume with so many bytes of a file, then zeros up to a total."""
    try:
        with _opened(path) as file, _own_file(client, volume, os.O_WRONLY) as own:
            if own is None:
                client.upload(volume, file, length, total)
                return
            if os.fstat(own).st_blocks:
                os.ftruncate(own, 0)
            sparse.copy(file, own, length)
            os.ftruncate(own, total)
    except OSError as error:
        raise OperationFailed(
            f"Could not copy {path} to {volume.path}: {error.strerror}", error.errno
        ) from error


def fetch(client: VolumeClient, volume: Volume, path: str) -> None:
    """Write a volume's content to a file, whose place it takes when it is complete.

    A file that was there keeps its mode and owner; another one is for its owner alone.
    """
    try:
        descriptor, part = mkstemp(prefix=".polyvisor-", dir=os.path.dirname(path) or ".")
        with _removed_on_failure(part):
            with closing(os.fdopen(descriptor, "wb", buffering=0)):
                _write(client, volume, descriptor)
            _take_over(path, part)
            os.replace(part, path)
    except OSError as error:
        raise OperationFailed(f"Could not write {path}: {error.strerror}", error.errno) from error


def _write(client: VolumeClient, volume: Volume, target: int) -> None:
    """Write a volume's content to an empty file (a descriptor)."""
    with _own_file(client, volume, os.O_RDONLY) as own:
        if own is not None:
            sparse.copy(own, target, os.fstat(own).st_size)
            return
    writer = _Writer(target)
    client.download(volume, writer, 0)
    writer.end()


@contextmanager
def _removed_on_failure(path: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(path)
        raise


def _take_over(path: str, part: str) -> None:
    """Give a new file the mode and owner of the one that it will replace."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    own = os.stat(part)
    if (own.st_uid, own.st_gid) != (old.st_uid, old.st_gid):
        os.chown(part, old.st_uid, old.st_gid)
    os.chmod(part, old.st_mode & 0o7777)
