# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a volume and a file hold the same."""

from __future__ import annotations

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils._errors import OperationFailed
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import content
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import Volume

VOLUME = Volume("pool", "v", "<volume/>")


class Library:
    """Stands for a client whose volume comes in these pieces; a number is a hole."""

    local = True

    def __init__(self, *pieces, fails=False):
        self._pieces = pieces
        self._fails = fails

    def download(self, volume, sink, length):
        for piece in self._pieces:
            if isinstance(piece, int):
                sink.hole(piece)
            else:
                sink.data(piece)
        if self._fails:
            raise OperationFailed("broken")


@pytest.mark.parametrize(
    ("pieces", "own", "same"),
    [
        ([b"abc"], b"abc", True),
        ([b"ab", b"c"], b"abc", True),
        ([b"abd"], b"abc", False),
        ([b"abc"], b"abcd", False),
        ([b"abc", 2], b"abc\0\0", True),
        ([b"abc", 2], b"abc", True),
        ([b"abc\0\0"], b"abc", True),
        ([b"abc\0x"], b"abc", False),
        ([b"abc", b"\0\0"], b"abc", True),
        ([b"abc", b"x"], b"abc", False),
        ([3], b"\0\0x", False),
        ([2, b"x"], b"\0\0x", True),
        ([], b"x", False),
    ],
)
def test_volume_holds_a_file_and_zeros_after_it(tmp_path, pieces, own, same):
    path = tmp_path / "file"
    path.write_bytes(own)
    assert content.holds_file(Library(*pieces), VOLUME, str(path), whole=True) is same


@pytest.mark.parametrize(
    ("pieces", "own", "same"),
    [([b"ab", 2], b"ab\0\0", True), ([b"ab", 2], b"ab", False), ([b"ab"], b"ab\0", False)],
)
def test_file_is_a_volume_only_if_as_long(tmp_path, pieces, own, same):
    path = tmp_path / "file"
    path.write_bytes(own)
    assert content.is_file(Library(*pieces), VOLUME, str(path)) is same
    assert not content.is_file(Library(*pieces), VOLUME, str(tmp_path / "none"))


def test_fetched_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "file"
    content.fetch(Library(b"abc", 5, b"d", 1000), VOLUME, str(path))
    assert path.read_bytes() == b"abc" + bytes(5) + b"d" + bytes(1000)
    with pytest.raises(OperationFailed, match="broken"):
        content.fetch(Library(b"other", fails=True), VOLUME, str(path))
    assert path.read_bytes().startswith(b"abc")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def volume_at(path, **otherwise):
    """The volume that libvirt would describe for a file."""
    status = path.stat()
    seen = {"size": status.st_size, "mtime": status.st_mtime_ns, "ctime": status.st_ctime_ns}
    seen.update(otherwise)
    times = "".join(
        f"<{name}>{seen[name] // 10**9}.{seen[name] % 10**9:09}</{name}>"
        for name in ("mtime", "ctime")
    )
    return Volume(
        "pool",
        "v",
        f"<volume type='file'><physical unit='bytes'>{seen['size']}</physical><target>"
        f"<path>{path}</path><timestamps>{times}</timestamps></target></volume>",
    )


@pytest.mark.parametrize(
    ("otherwise", "local", "direct"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"size": 9}, True, False),
        ({"mtime": 1}, True, False),
        ({"ctime": 1}, True, False),
    ],
)
def test_file_at_hand_is_read_itself_only_if_it_is_the_daemons(tmp_path, otherwise, local, direct):
    own, dest = tmp_path / "own", tmp_path / "dest"
    own.write_bytes(b"own")
    client = Library(b"streamed")
    client.local = local
    content.fetch(client, volume_at(own, **otherwise), str(dest))
    assert dest.read_bytes() == (b"own" if direct else b"streamed")


def test_file_at_hand_is_written_itself(tmp_path):
    own, source = tmp_path / "own", tmp_path / "source"
    own.write_bytes(b"longer than what comes")
    source.write_bytes(b"new")
    content.send(Library(), volume_at(own), str(source), 3, 5)
    assert own.read_bytes() == b"new\0\0"


def test_content_is_read_once_and_again_after_a_change_that_failed():
    memory, looks = content.Memory(), []

    def look():
        looks.append(1)
        return False

    assert [memory.recall(look), memory.recall(look)] == [False, False]
    with memory.changing():
        pass
    assert memory.recall(look) is True
    with pytest.raises(ValueError, match="failed"), memory.changing():
        raise ValueError("failed")
    assert memory.recall(look) is False
    assert len(looks) == 2
