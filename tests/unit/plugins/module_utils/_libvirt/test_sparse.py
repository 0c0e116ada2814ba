# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files are read and copied without what is empty in them."""

from __future__ import annotations

import errno
import os

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils._errors import OperationFailed
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import sparse

MIB = 1024**2


@pytest.mark.parametrize(("chunk", "zero"), [(b"", True), (bytes(9), True), (b"\0\0\1", False)])
def test_zeros_are_known(chunk, zero):
    assert sparse.is_zero(chunk) is zero


@pytest.fixture
def files(tmp_path):
    """The descriptors of a file of 64 MiB with two pieces of data, and of an empty one."""
    source = os.open(tmp_path / "source", os.O_RDWR | os.O_CREAT)
    target = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    os.ftruncate(source, 64 * MIB)
    os.pwrite(source, os.urandom(MIB), 8 * MIB)
    os.pwrite(source, b"end", 64 * MIB - 3)
    yield source, target
    os.close(source)
    os.close(target)


def refused(number):
    """The kernel's copy, of a kernel that answers with an error number."""

    def copy_file_range(*arguments):
        raise OSError(number, os.strerror(number))

    return copy_file_range


@pytest.mark.parametrize("number", [None, errno.EXDEV, errno.EINVAL, errno.ENOSYS])
def test_copy_holds_the_same_and_the_same_holes(files, monkeypatch, number):
    source, target = files
    if number:
        monkeypatch.setattr(os, "copy_file_range", refused(number))
    sparse.copy(source, target, 64 * MIB)
    assert os.pread(target, 65 * MIB, 0) == os.pread(source, 65 * MIB, 0)
    assert os.fstat(target).st_blocks * 512 < 4 * MIB


@pytest.mark.parametrize("length", [0, 1, 8 * MIB + 5, 10 * MIB])
def test_copy_ends_where_it_is_to(files, length):
    source, target = files
    sparse.copy(source, target, length)
    assert os.pread(target, 65 * MIB, 0) == os.pread(source, length, 0)


def test_target_that_cannot_be_written_is_the_systems_error(files, monkeypatch):
    monkeypatch.setattr(os, "copy_file_range", refused(errno.ENOSPC))
    with pytest.raises(OSError, match="space"):
        sparse.copy(*files, 64 * MIB)


def test_source_that_becomes_shorter_is_an_error(files, monkeypatch):
    monkeypatch.setattr(os, "copy_file_range", lambda *arguments: 0)
    with pytest.raises(OperationFailed, match="shorter"):
        sparse.copy(*files, 64 * MIB)
