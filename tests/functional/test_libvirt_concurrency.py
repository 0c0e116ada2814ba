# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several runs at once, and runs that are cut short, on a real libvirtd."""

from __future__ import annotations

import random
import time

import pytest

RUNS = 6


def at_once(modules, module: str, arguments: list[dict]) -> list[dict]:
    """Start a module several times, then collect what each run returned."""
    processes = [modules.start(module, each) for each in arguments]
    return [modules.result(process) for process in processes]


def test_one_pool_made_by_many(modules, tmp_path):
    target = {"path": str(tmp_path / "pool"), "permissions": {"mode": "0711"}}
    arguments = {"name": "pool", "type": "dir", "target": target, "autostart": True}
    results = at_once(modules, "libvirt_pool", [arguments] * RUNS)
    assert any(result["changed"] for result in results)
    for result in results:
        assert (result["pool"]["state"], result["pool"]["persistent"]) == ("active", True)
    assert not modules.run("libvirt_pool", **arguments)["changed"]


def test_one_pool_changed_and_restarted_by_many(modules, pool, tmp_path):
    """Whoever is last wins; the pool is not left stopped or half changed."""
    paths = [str(tmp_path / name) for name in ("one", "other")]
    arguments = [
        {"name": pool, "type": "dir", "target": {"path": path}, "restart": True} for path in paths
    ]
    at_once(modules, "libvirt_pool", arguments * (RUNS // 2))
    result = modules.run("libvirt_pool", name=pool)
    assert result["pool"]["state"] == "active"
    assert result["pool"]["target_path"] in paths
    for each in arguments:
        modules.run("libvirt_pool", **each)
        again = modules.run("libvirt_pool", **each)
        assert (again["changed"], again["restart_required"]) == (False, False)


def test_one_secret_made_by_many(modules):
    arguments = {"usage": "iscsi", "name": "target", "value": "twelve-letter", "private": True}
    at_once(modules, "libvirt_secret", [arguments] * RUNS)
    assert not modules.run("libvirt_secret", **arguments)["changed"]
    found = modules.run("libvirt_secret_info")["secrets"]
    assert [(secret["name"], secret["private"]) for secret in found] == [("target", True)]


def test_one_pool_removed_by_many(modules, pool):
    modules.run("libvirt_volume", pool=pool, name="v", capacity="1M")
    at_once(modules, "libvirt_pool", [{"name": pool, "state": "undefined"}] * RUNS)
    assert modules.everything() == []


def test_one_file_system_made_by_many(modules, device, tmp_path):
    arguments = {
        "name": "files",
        "type": "fs",
        "source": {"devices": [device], "format": "ext4"},
        "target": {"path": str(tmp_path / "mnt")},
    }
    at_once(modules, "libvirt_pool", [arguments] * RUNS)
    assert not modules.run("libvirt_pool", **arguments)["changed"]


@pytest.mark.parametrize("kind", ["empty", "backing", "clone"])
def test_one_volume_made_by_many(modules, pool, kind):
    modules.run("libvirt_volume", pool=pool, name="base", capacity="10M", format="qcow2")
    arguments = {"pool": pool, "name": "v", "capacity": "20M", "format": "qcow2"}
    if kind != "empty":
        arguments[kind] = {"pool": pool, "name": "base"}
    results = at_once(modules, "libvirt_volume", [arguments] * RUNS)
    assert sum(result["changed"] for result in results) >= 1
    assert not modules.run("libvirt_volume", **arguments)["changed"]
    assert modules.everything()[0]["volumes"][1]["capacity"] == 20 * 1024**2


def test_one_volume_removed_by_many(modules, pool):
    modules.run("libvirt_volume", pool=pool, name="v", capacity="1M")
    at_once(modules, "libvirt_volume", [{"pool": pool, "name": "v", "state": "absent"}] * RUNS)
    assert modules.everything()[0]["volumes"] == []


def test_many_volumes_in_one_pool(modules, pool):
    names = [f"v{number}" for number in range(RUNS)]
    arguments = [{"pool": pool, "name": name, "capacity": "1M"} for name in names]
    assert all(result["changed"] for result in at_once(modules, "libvirt_volume", arguments))
    assert [volume["name"] for volume in modules.everything()[0]["volumes"]] == names


@pytest.mark.parametrize("seed", range(4))
def test_run_that_is_killed_is_completed_by_the_next(modules, tmp_path, seed):
    """Killed at a moment chosen by the seed, within the time that a run takes."""
    arguments = {
        "name": "pool",
        "type": "dir",
        "target": {"path": str(tmp_path / "pool"), "permissions": {"mode": "0711"}},
        "autostart": True,
    }
    process = modules.start("libvirt_pool", arguments)
    time.sleep(random.Random(seed).uniform(0.05, 0.4))
    process.kill()
    process.communicate()
    modules.run("libvirt_pool", **arguments)
    result = modules.run("libvirt_pool", **arguments)
    assert not result["changed"]
    assert result["pool"]["autostart"]
