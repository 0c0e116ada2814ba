# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done to a volume that is there."""

from __future__ import annotations

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import volume_change


def test_permissions_that_are_stated_are_set(tmp_path):
    file = tmp_path / "file"
    file.touch(0o600)
    volume_change.set_permissions(str(file), {"mode": "0640"})
    assert file.stat().st_mode & 0o7777 == 0o640
