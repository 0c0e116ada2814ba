# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and modes."""

from __future__ import annotations

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.checks import (
    require_mode,
    require_name,
)


@pytest.mark.parametrize("name", ["a", "nova-disks-pool", "ä b", "...", "a.b", "<&>"])
def test_names(name):
    require_name("name", name)


@pytest.mark.parametrize("name", ["", " ", ".", "..", "/", "a/b", "a\nb", "a\0b", "\t"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(Refused, match="^name"):
        require_name("name", name)


@pytest.mark.parametrize("mode", ["0711", "711", "00711", "1777", "0"])
def test_modes(mode):
    require_mode({"mode": mode})


def test_permissions_without_a_mode():
    require_mode(None)
    require_mode({"mode": None})


@pytest.mark.parametrize("mode", ["", "rwx", "0o711", "0999", "77777", "-1", "0711\n"])
def test_what_is_no_mode_is_refused(mode):
    with pytest.raises(Refused, match="octal"):
        require_mode({"mode": mode})
