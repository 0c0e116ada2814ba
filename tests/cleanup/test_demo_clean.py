# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo-clean` leaves nothing behind: run last, on the machine that ran the demo."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.cloud import SUDO, make

DIRECTORIES = (
    "/opt/mini-cloud",
    "/etc/mini-cloud",
    "/var/lib/mini-cloud",
    "/var/log/mini-cloud",
    "/run/mini-cloud",
    "/etc/nova",
    "/var/lib/nova",
    "/var/log/nova",
)


@pytest.fixture(scope="module", autouse=True)
def cleaned() -> str:
    """What `make demo-clean` printed."""
    done = make("demo-clean")
    assert done.returncode == 0, done.stdout
    return done.stdout


def lines(*command: str) -> list[str]:
    """A command's output as lines; one that fails, as of a daemon that is gone, has none."""
    done = subprocess.run(
        [*SUDO, *command], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    return done.stdout.splitlines()


def test_again_changes_nothing():
    again = make("demo-clean")
    assert again.returncode == 0, again.stdout
    assert re.search(r"changed=0 +unreachable=0 +failed=0", again.stdout), again.stdout


def test_no_process_is_left():
    ours = re.compile(
        r"mini-cloud|nova-compute|/etc/nova|qemu-system|rabbitmq|epmd|mariadbd|supervisord$"
    )
    found = [line for line in lines("ps", "-eo", "pid=,user=,args=") if ours.search(line)]
    assert found == []


def test_no_mount_is_left():
    mounts = Path("/proc/mounts").read_text().splitlines()
    assert [line for line in mounts if "mini-cloud" in line or "/var/lib/nova" in line] == []


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_no_directory_is_left(directory):
    assert lines("find", directory, "-maxdepth", "1") == []


def test_no_domain_pool_or_network_is_defined():
    left = [
        path
        for kind in ("qemu", "storage")
        for path in lines("find", f"/etc/libvirt/{kind}", "-name", "*.xml")
        if not path.startswith("/etc/libvirt/qemu/networks/")
    ]
    assert left == []


def test_no_user_service_or_privilege_is_left():
    accounts = Path("/etc/passwd").read_text()
    assert not re.search(r"^(mini-cloud|nova):", accounts, re.MULTILINE)
    for directory in ("/etc/systemd/system", "/etc/supervisor/conf.d", "/etc/sudoers.d"):
        found = lines("find", directory, "-name", "*mini-cloud*", "-o", "-name", "*nova*")
        assert found == []
