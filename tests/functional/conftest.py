# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures: the tests' own libvirtd, the modules, directories and block devices."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from modules import Modules
from private_libvirtd import PrivateLibvirtd

_COLLECTION = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which Ansible finds this collection."""
    root = tmp_path_factory.mktemp("collections")
    namespace = root / "ansible_collections" / "polyvisor"
    namespace.mkdir(parents=True)
    (namespace / "compute").symlink_to(_COLLECTION)
    return root


@pytest.fixture(scope="session")
def _daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateLibvirtd]:
    if os.geteuid():
        pytest.fail("These tests need root, for namespaces, mounts and loop devices.")
    daemon = PrivateLibvirtd(tmp_path_factory.mktemp("libvirtd"))
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def libvirtd(_daemon: PrivateLibvirtd) -> Iterator[PrivateLibvirtd]:
    """A libvirtd without domains, and afterwards without pools and secrets."""
    yield _daemon
    for domain in _daemon.virsh("list", "--all", "--name").split():
        _daemon.run("virsh", "destroy", domain, check=False)
        _daemon.run("virsh", "undefine", domain, check=False)
    for pool in _daemon.virsh("pool-list", "--all", "--uuid").split():
        _daemon.run("virsh", "pool-destroy", pool, check=False)
        _daemon.run("virsh", "pool-undefine", pool, check=False)
    for line in _daemon.virsh("secret-list").splitlines():
        if line.strip():
            _daemon.run("virsh", "secret-undefine", line.split()[0])


@pytest.fixture(scope="session")
def _modules(
    _daemon: PrivateLibvirtd, collections: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Modules]:
    modules = Modules(_daemon, collections, tmp_path_factory.mktemp("modules"))
    yield modules
    modules.close()


@pytest.fixture
def modules(libvirtd: PrivateLibvirtd, _modules: Modules) -> Modules:
    """The collection's modules, run against that libvirtd."""
    return _modules


@pytest.fixture
def pool(modules: Modules, tmp_path: Path) -> str:
    """An active pool of type dir, by name; its directory is tmp_path/pool."""
    modules.run("libvirt_pool", name="pool", type="dir", target={"path": str(tmp_path / "pool")})
    return "pool"


@pytest.fixture
def make_device(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Makes an empty block device of 200 MiB (a loop device) and returns its path."""
    devices: list[str] = []

    def make() -> str:
        image = tmp_path / f"device{len(devices)}.img"
        with image.open("wb") as file:
            file.truncate(200 * 1024**2)
        command = ["losetup", "--find", "--show", str(image)]
        devices.append(subprocess.check_output(command, text=True).strip())
        return devices[-1]

    yield make
    for device in devices:
        subprocess.run(["partx", "--delete", device], capture_output=True, check=False)
        subprocess.run(["losetup", "--detach", device], check=True)


@pytest.fixture
def device(make_device: Callable[[], str]) -> str:
    """An empty block device."""
    return make_device()
