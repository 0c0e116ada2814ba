# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes through a stream, and in which pieces."""

from __future__ import annotations

import os

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils._errors import OperationFailed
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import stream
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.sparse import CHUNK

MIB = 1024**2


class Channel:
    """Stands for a virStream: takes what is sent, gives what it was made with."""

    def __init__(self, *incoming):
        self.sent = []
        self.finished = False
        self._incoming = list(incoming)

    def send(self, chunk):
        assert 0 < len(chunk) <= CHUNK
        self.sent.append(chunk)

    def sendHole(self, length):
        self.sent.append(length)

    def recvFlags(self, wanted, flags):
        assert (wanted, flags) == (CHUNK, 1)
        if not self._incoming:
            return b""
        return -3 if isinstance(self._incoming[0], int) else self._incoming.pop(0)

    def recvHole(self):
        return self._incoming.pop(0)

    def finish(self):
        self.finished = True

    @property
    def content(self):
        return b"".join(bytes(each) if isinstance(each, int) else each for each in self.sent)


class Sink:
    """Keeps what it is given."""

    def __init__(self):
        self.taken = []

    def data(self, chunk):
        self.taken.append(chunk)

    def hole(self, length):
        self.taken.append(length)


@pytest.fixture
def sparse(tmp_path):
    """A file of 4 MiB with data in its second MiB."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.seek(MIB)
        file.write(b"x" * MIB)
        file.truncate(4 * MIB)
    return path


def send(path, length, total):
    channel = Channel()
    file = os.open(path, os.O_RDONLY)
    try:
        stream.send(channel, file, length, total)
    finally:
        os.close(file)
    return channel


def test_holes_are_not_sent(sparse):
    channel = send(sparse, 4 * MIB, 4 * MIB)
    assert channel.content == sparse.read_bytes()
    assert sum(len(each) for each in channel.sent if isinstance(each, bytes)) < 2 * MIB
    assert channel.finished


def test_end_of_a_larger_volume_is_a_hole(sparse):
    channel = send(sparse, 4 * MIB, 5 * MIB)
    assert channel.sent[-1] == MIB
    assert channel.content == sparse.read_bytes() + bytes(MIB)


def test_only_the_first_bytes_are_sent(sparse):
    for length in (1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1):
        assert send(sparse, length, length).content == sparse.read_bytes()[:length]


def test_file_that_became_shorter_is_an_error(sparse, monkeypatch):
    monkeypatch.setattr(os, "pread", lambda file, size, offset: b"")
    with pytest.raises(OperationFailed, match="shorter"):
        send(sparse, 4 * MIB, 4 * MIB)


def test_what_comes_goes_to_the_sink_in_order():
    channel, sink = Channel(b"a", 5, b"b", b"c", 7), Sink()
    stream.receive(channel, sink)
    assert sink.taken == [b"a", 5, b"b", b"c", 7]
    assert channel.finished
