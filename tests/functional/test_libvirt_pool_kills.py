# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that are killed after each of the changes that they make in libvirt, one after the other.

A change that libvirt has been asked for is carried out by the daemon, whatever becomes of the run;
so these are all the states that a killed run can leave.
"""

from __future__ import annotations

import itertools
import signal
from pathlib import Path
from typing import Any, Callable

import pytest
from modules import Modules

LAUNCHER = str(Path(__file__).with_name("killed_run.py"))


def killed_everywhere(
    modules: Modules,
    module: str,
    prepare: Callable[[], Any],
    arguments: dict[str, Any],
    look: Callable[[], Any],
) -> int:
    """Kill a run after its first change, after its second, and so on until one ends by itself.

    After each the same run must heal what was left, to what an undisturbed run makes.

    :return: at how many points it was killed
    """
    prepare()
    modules.run(module, **arguments)
    wanted = look()
    for number in itertools.count(1):
        prepare()
        process = modules.start(module, arguments, LAUNCHER, str(number))
        process.communicate()
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0
            return number - 1
        modules.run(module, **arguments)
        assert look() == wanted, f"not healed after change {number}"
        assert not modules.run(module, **arguments)["changed"]


@pytest.fixture
def pools(modules, libvirtd, tmp_path):
    """Shows the pool ``p``, forgets it, and makes it with two volumes."""

    class Pools:
        path = tmp_path / "pool"

        def look(self) -> list:
            found = modules.everything()
            for pool in found:
                del pool["uuid"]
            return found

        def forget(self) -> None:
            for command in ("pool-destroy", "pool-undefine"):
                libvirtd.run("virsh", command, "p", check=False)

        def make(self) -> None:
            self.forget()
            modules.run("libvirt_pool", name="p", type="dir", target={"path": str(self.path)})
            for name in ("a", "b"):
                modules.run("libvirt_volume", pool="p", name=name, capacity="1M")

    return Pools()


def test_new_pool(modules, pools):
    target = {"path": str(pools.path), "permissions": {"mode": "0711"}}
    arguments = {"name": "p", "type": "dir", "target": target, "autostart": True}
    points = killed_everywhere(modules, "libvirt_pool", pools.forget, arguments, pools.look)
    assert points == 3


def test_changed_pool_that_is_restarted(modules, pools):
    target = {"path": f"{pools.path}2"}
    arguments = {"name": "p", "type": "dir", "target": target, "restart": True, "autostart": True}
    points = killed_everywhere(modules, "libvirt_pool", pools.make, arguments, pools.look)
    assert points >= 4


def test_forgotten_pool(modules, pools):
    arguments = {"name": "p", "state": "undefined"}
    points = killed_everywhere(modules, "libvirt_pool", pools.make, arguments, pools.look)
    assert points == 2
    assert (pools.path / "a").exists()


def test_deleted_pool(modules, pools):
    arguments = {"name": "p", "state": "deleted", "delete_data": True}
    points = killed_everywhere(modules, "libvirt_pool", pools.make, arguments, pools.look)
    assert points >= 5
    assert not pools.path.exists()


def test_new_private_secret(modules, libvirtd):
    """Until its value is stored it can be read, so that a later run knows what is missing."""
    name = {"usage": "iscsi", "name": "target"}
    arguments = {**name, "value": "twelve-letter", "private": True}

    def look() -> list:
        found = modules.run("libvirt_secret_info")["secrets"]
        return [(secret["name"], secret["private"]) for secret in found]

    def forget() -> None:
        modules.run("libvirt_secret", **name, state="absent")

    assert killed_everywhere(modules, "libvirt_secret", forget, arguments, look) == 3
