# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a file is taken for."""

from __future__ import annotations

import struct

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import image

GIB = 1024**3


def qcow2(version=3, backing=0):
    """The beginning of a qcow2 image of 1 GiB."""
    return struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 8, 16, GIB)


@pytest.mark.parametrize(
    ("head", "image_format", "capacity"),
    [
        (b"x" * 700, "raw", 700),
        (qcow2(3), "qcow2", GIB),
        (qcow2(2), "qcow2", GIB),
        (b"KDMV" + bytes(8) + struct.pack("<Q", 2048), "vmdk", 2048 * 512),
        (bytes(64) + b"\x7f\x10\xda\xbe" + bytes(300) + struct.pack("<Q", GIB), "vdi", GIB),
        (b"conectix" + bytes(32) + struct.pack(">Q", GIB), "vpc", GIB),
        (b"QED\0" + bytes(44) + struct.pack("<Q", GIB), "qed", GIB),
        (bytes(32769) + b"CD001" + bytes(10), "iso", 32784),
    ],
)
def test_format_and_capacity_stand_in_the_first_bytes(tmp_path, head, image_format, capacity):
    path = tmp_path / "image"
    path.write_bytes(head)
    found = image.probe(str(path))
    assert (found.format, found.capacity, found.length) == (image_format, capacity, len(head))


def test_backing_file_is_noticed(tmp_path):
    for backing in (0, 112):
        path = tmp_path / "image"
        path.write_bytes(qcow2(backing=backing))
        assert image.probe(str(path)).layered is bool(backing)


@pytest.mark.parametrize("magic", [b"QFI\xfb\0\0\0\2", b"KDMV", b"conectix", b"QED\0"])
def test_file_cut_off_after_its_mark_is_no_error(tmp_path, magic):
    path = tmp_path / "image"
    path.write_bytes(magic)
    assert image.probe(str(path)).capacity == 0


def test_what_cannot_be_uploaded(tmp_path):
    (tmp_path / "empty").touch()
    for name, word in (("none", "No such file"), ("empty", "is empty"), (".", "directory")):
        with pytest.raises(Refused, match=word):
            image.probe(str(tmp_path / name))
