# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the machine says about paths."""

from __future__ import annotations

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import local


def test_directory_that_is_there(tmp_path):
    local.require_directory(str(tmp_path), will_be_made=False)


def test_directory_that_will_be_made(tmp_path):
    local.require_directory(str(tmp_path / "a" / "b"), will_be_made=True)
    with pytest.raises(Refused, match="does not exist"):
        local.require_directory(str(tmp_path / "a"), will_be_made=False)


def test_file_is_no_directory(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below", file / "far" / "below"):
        with pytest.raises(Refused, match="no directory"):
            local.require_directory(str(path), will_be_made=True)


def test_broken_link_is_no_directory(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "none")
    with pytest.raises(Refused, match="no directory"):
        local.require_directory(str(tmp_path / "link"), will_be_made=True)


def test_file_is_no_device(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="no block device"):
        local.require_block_device(str(tmp_path / "file"))
    with pytest.raises(Refused, match="No such file"):
        local.require_block_device(str(tmp_path / "none"))
