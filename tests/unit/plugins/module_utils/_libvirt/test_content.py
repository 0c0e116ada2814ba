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
