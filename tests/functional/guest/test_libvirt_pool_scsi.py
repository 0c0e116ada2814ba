# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt_pool on the units of SCSI hosts and iSCSI targets, through the kernel; and on a disk."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from modules import ModuleFailed
from storage_servers import ADDRESS, IscsiTarget

INITIATOR = "iqn.2026-11.com.example:initiator"
PATIENCE = 60
PASSWORD = "twelve-letter"
CHAP = {"type": "chap", "username": "pools", "secret": {"usage": "storage.example.com"}}


@pytest.fixture
def initiator():
    """The kernel's initiator, which afterwards knows no target any more."""
    yield
    iscsi("node", "--op", "delete")
    for interface in Path("/etc/iscsi/ifaces").glob("libvirt-iface-*"):
        interface.unlink()


@pytest.fixture
def target(_daemon, initiator, tmp_path):
    """A target with one unit for all."""
    with IscsiTarget(_daemon, tmp_path):
        yield


@pytest.fixture
def secret_target(_daemon, initiator, tmp_path):
    """A target with one unit for those who know its password."""
    with IscsiTarget(_daemon, tmp_path, chap=("pools", PASSWORD)):
        yield


def units(**more) -> dict:
    """Arguments of a pool on the units of the target."""
    source = {"hosts": [{"name": ADDRESS}], "devices": [IscsiTarget.IQN], **more}
    return {"name": "units", "type": "iscsi", "source": source}


def iscsi(mode: str, *arguments: str) -> str:
    """What the kernel's initiator says; empty if there is nothing to say."""
    command = ["iscsiadm", "--mode", mode, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def the_unit(modules, pool: str) -> dict:
    """The one volume of a pool; the kernel may find it some time after the pool's start."""
    deadline = time.monotonic() + PATIENCE
    while not (volumes := modules.run("libvirt_volume_info", pool=pool)["volumes"]):
        assert time.monotonic() < deadline, "the kernel found no unit"
        modules.run("libvirt_pool", name=pool, refresh=True)
    (unit,) = volumes
    return unit


@pytest.mark.parametrize("source", [{}, {"initiator": INITIATOR}], ids=["default", "named"])
def test_iscsi(target, modules, source):
    arguments = units(**source)
    result = modules.converge("libvirt_pool", autostart=True, **arguments)
    assert result["actions"] == ["create", "define", "autostart"]
    assert IscsiTarget.IQN in iscsi("session")
    unit = the_unit(modules, "units")
    assert (unit["type"], unit["capacity"]) == ("block", IscsiTarget.SIZE)
    assert unit["path"].startswith(f"/dev/disk/by-path/ip-{ADDRESS}:3260-iscsi-{IscsiTarget.IQN}")
    assert Path(unit["path"]).is_block_device()
    modules.refused("libvirt_pool", "'units'", **{**arguments, "name": "other"})
    modules.refused("libvirt_pool", "undefined", name="units", state="deleted", delete_data=True)
    modules.refused("libvirt_volume", "makes none", pool="units", name="v", capacity="1M")
    modules.converge("libvirt_pool", name="units", state="inactive")
    assert not iscsi("session")
    modules.converge("libvirt_pool", name="units")
    modules.converge("libvirt_pool", name="units", state="undefined")
    assert not iscsi("session")


def test_content_of_a_unit(target, modules, pool, tmp_path):
    modules.run("libvirt_pool", **units())
    unit = the_unit(modules, "units")
    image = tmp_path / "image"
    image.write_bytes(b"unit" * 1024)
    upload = {"src": str(image)}
    arguments = {"pool": "units", "name": unit["name"], "upload": upload}
    modules.refused("libvirt_volume", "in_place", **arguments)
    upload["in_place"] = True
    modules.converge("libvirt_volume", **arguments)
    with Path(unit["path"]).open("rb") as device:
        assert device.read(4096) == image.read_bytes()
    clone = {"pool": "units", "name": unit["name"]}
    modules.converge("libvirt_volume", pool=pool, name="copy", clone=clone)
    assert (tmp_path / "pool" / "copy").read_bytes()[:4096] == image.read_bytes()
    modules.run("libvirt_pool", name="units", state="undefined")


def test_iscsi_with_a_password(secret_target, modules):
    with pytest.raises(ModuleFailed, match="pool 'units'"):
        modules.run("libvirt_pool", **units())
    with pytest.raises(ModuleFailed, match=r"storage\.example\.com"):
        modules.run("libvirt_pool", **units(auth=CHAP))
    secret = {"usage": "iscsi", "name": "storage.example.com"}
    modules.run("libvirt_secret", **secret, value="another-word1")
    with pytest.raises(ModuleFailed, match="pool 'units'"):
        modules.run("libvirt_pool", **units(auth=CHAP))
    assert modules.everything() == []
    assert not iscsi("session")
    modules.converge("libvirt_secret", **secret, value=PASSWORD)
    modules.converge("libvirt_pool", **units(auth=CHAP))
    assert the_unit(modules, "units")["type"] == "block"
    modules.converge("libvirt_pool", name="units", state="undefined")
    assert not iscsi("session")


def test_iscsi_target_that_is_not_there(target, modules):
    with pytest.raises(ModuleFailed, match="pool 'units'.*none"):
        modules.run("libvirt_pool", **units(devices=["iqn.2026-11.com.example:none"]))
    assert modules.everything() == []


def test_scsi_host(modules, scsi_debug):
    host, device = scsi_debug
    definition = {
        "type": "scsi",
        "source": {"adapter": {"name": f"scsi_{host}"}},
        "target": {"path": "/dev/disk/by-id"},
    }
    modules.converge("libvirt_pool", name="luns", **definition)
    unit = the_unit(modules, "luns")
    assert Path(unit["path"]).resolve() == Path(device)
    assert unit["capacity"] == 64 * 1024**2
    modules.converge("libvirt_pool", name="luns", state="inactive")
    modules.converge("libvirt_pool", name="luns")
    modules.converge("libvirt_pool", name="luns", state="undefined")


@pytest.mark.parametrize("table", ["gpt", "dos"])
def test_partitions_come_to_be_and_go(modules, scsi_debug, table):
    _host, device = scsi_debug
    source = {"devices": [device], "format": table}
    modules.converge("libvirt_pool", name="parts", type="disk", source=source)
    names = [f"{Path(device).name}{number}" for number in (1, 2)]
    for name in names:
        modules.converge("libvirt_volume", pool="parts", name=name, capacity="10M")
        assert Path("/dev", name).is_block_device()
    for name in reversed(names):
        modules.converge("libvirt_volume", pool="parts", name=name, state="absent")
        assert not Path("/dev", name).exists()
    modules.converge("libvirt_pool", name="parts", state="deleted", delete_data=True)
