# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of tests that need a kernel with all its drivers; `make guest` runs them in a guest.

Nothing is skipped in there: what a test needs and does not find fails it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from private_libvirtd import PrivateLibvirtd

collect_ignore_glob = [] if "POLYVISOR_GUEST" in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def _daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateLibvirtd]:
    """In the guest's own network, where the kernel's NFS server and iSCSI initiator are."""
    daemon = PrivateLibvirtd(tmp_path_factory.mktemp("libvirtd"), namespaces=("--mount",))
    daemon.start()
    yield daemon
    daemon.stop()


def run(*command: str) -> str:
    """What a command of the guest prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def make_device(make_device: Callable[[], str]) -> Iterator[Callable[[], str]]:
    """Makes an empty block device; what LVM makes of it is taken away in the end."""
    yield make_device
    for group in run("vgs", "--noheadings", "--options", "vg_name").split():
        run("vgremove", "--force", "--force", "--yes", group)


@pytest.fixture
def libvirtd(make_device: Callable[[], str], libvirtd: PrivateLibvirtd) -> PrivateLibvirtd:
    """Stops its pools before the devices go that they are on."""
    return libvirtd


@pytest.fixture
def scsi_debug() -> Iterator[tuple[str, str]]:
    """A disk of the kernel's own making, of 64 MiB: (its SCSI host, its path)."""
    run("modprobe", "scsi_debug", "dev_size_mb=64")
    run("udevadm", "settle")
    (block,) = Path("/sys/bus/pseudo/drivers/scsi_debug").glob("adapter*/host*/target*/*:*/block/*")
    yield block.parts[-5], f"/dev/{block.name}"
    run("modprobe", "--remove", "scsi_debug")
