# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools whose storage is elsewhere, started on a real libvirtd against real servers."""

from __future__ import annotations

import os
import shutil

import pytest
from modules import ModuleFailed
from private_libvirtd import PrivateLibvirtd
from storage_servers import ADDRESS, GlusterVolume, IscsiTarget

INITIATOR = "iqn.2026-11.com.example:initiator"
PASSWORD = "twelve-letter"


def require(daemon: PrivateLibvirtd, kind: str, *paths: str) -> None:
    """Skip, with the reason, where something that a test needs is not there."""
    missing = [path for path in paths if not shutil.which(path) and not os.path.exists(path)]
    if f"<pool type='{kind}' supported='yes'>" not in daemon.virsh("pool-capabilities"):
        missing.append(f"libvirt's backend for {kind}")
    if missing:
        pytest.skip(f"This machine lacks {', '.join(missing)}.")


@pytest.fixture
def iscsi(libvirtd):
    """What is needed to serve an iSCSI target, and to use it without the kernel."""
    require(libvirtd, "iscsi-direct", "tgtd", "tgtadm")


@pytest.fixture(scope="module")
def brick(_daemon, tmp_path_factory):
    """The directory under a Gluster volume, which takes some seconds to start."""
    require(_daemon, "gluster", "glusterd", "gluster")
    folder = tmp_path_factory.mktemp("gluster")
    with GlusterVolume(_daemon, folder) as volume:
        yield volume.brick


def direct(**more) -> dict:
    """Arguments of a pool on the units of an iSCSI target."""
    source = {
        "hosts": [{"name": ADDRESS}],
        "devices": [IscsiTarget.IQN],
        "initiator": INITIATOR,
        **more,
    }
    return {"name": "units", "type": "iscsi-direct", "source": source}


def test_iscsi_direct(modules, libvirtd, iscsi, tmp_path):
    with IscsiTarget(libvirtd, tmp_path):
        result = modules.converge("libvirt_pool", autostart=True, **direct())
        assert result["actions"] == ["create", "define", "autostart"]
        assert 0 < result["pool"]["capacity"] <= IscsiTarget.SIZE
        volumes = modules.run("libvirt_volume_info", pool="units")["volumes"]
        assert ("unit:0:0:1", "network") in [(each["name"], each["type"]) for each in volumes]
        other = {**direct(), "name": "other"}
        modules.refused("libvirt_pool", "'units'", **other)
        modules.refused("libvirt_volume", "makes none", pool="units", name="v", capacity="1M")
        modules.refused(
            "libvirt_pool", "undefined", name="units", state="deleted", delete_data=True
        )
        modules.converge("libvirt_pool", name="units", state="inactive")
        modules.converge("libvirt_pool", name="units")
        modules.converge("libvirt_pool", name="units", state="undefined")


def test_iscsi_direct_with_a_password(modules, libvirtd, iscsi, tmp_path):
    auth = {"type": "chap", "username": "pools", "secret": {"usage": "storage.example.com"}}
    secret = {"usage": "iscsi", "name": "storage.example.com", "private": True}
    with IscsiTarget(libvirtd, tmp_path, chap=("pools", PASSWORD)):
        with pytest.raises(ModuleFailed, match="pool 'units'"):
            modules.run("libvirt_pool", **direct())
        with pytest.raises(ModuleFailed, match=r"storage\.example\.com"):
            modules.run("libvirt_pool", **direct(auth=auth))
        assert modules.everything() == []
        modules.converge("libvirt_secret", **secret, value=PASSWORD)
        modules.converge("libvirt_pool", **direct(auth=auth))
        assert modules.run("libvirt_volume_info", pool="units")["volumes"]


def test_iscsi_target_that_is_not_there(modules, libvirtd, iscsi, tmp_path):
    with IscsiTarget(libvirtd, tmp_path):
        arguments = direct(devices=["iqn.2026-11.com.example:none"])
        with pytest.raises(ModuleFailed, match="pool 'units'"):
            modules.run("libvirt_pool", **arguments)
        assert modules.everything() == []


def test_gluster(modules, brick):
    source = {"hosts": [{"name": ADDRESS}], "name": GlusterVolume.NAME}
    arguments = {"name": "bricks", "type": "gluster", "source": source}
    result = modules.converge("libvirt_pool", **arguments)
    assert result["pool"]["capacity"] > 0
    source["hosts"] = [{"name": ADDRESS, "port": 24007}]
    assert not modules.run("libvirt_pool", **arguments)["changed"]
    (brick / "seen").write_bytes(b"0" * 512)
    modules.run("libvirt_pool", refresh=True, **arguments)
    names = [volume["name"] for volume in modules.everything()[0]["volumes"]]
    assert names == ["seen"]
    modules.refused("libvirt_volume", "makes none", pool="bricks", name="v", capacity="1M")
    modules.converge("libvirt_pool", name="bricks", state="undefined")
    assert (brick / "seen").exists()


def test_gluster_mounted_as_a_network_file_system(modules, libvirtd, brick, tmp_path):
    require(libvirtd, "netfs", "mount.glusterfs", "/dev/fuse")
    arguments = {
        "name": "mounted",
        "type": "netfs",
        "source": {
            "hosts": [{"name": ADDRESS}],
            "dir": GlusterVolume.NAME,
            "format": "glusterfs",
        },
        "target": {"path": str(tmp_path / "mnt")},
        "mount_options": ["log-level=WARNING"],
    }
    modules.converge("libvirt_pool", **arguments)
    assert "fuse.glusterfs" in libvirtd.run("cat", "/proc/mounts").stdout
    modules.converge("libvirt_volume", pool="mounted", name="v", capacity="1M")
    assert (brick / "v").exists()
    arguments["mount_options"] = ["log-level=ERROR"]
    result = modules.converge("libvirt_pool", **arguments)
    assert result["restart_required"]
    result = modules.converge("libvirt_pool", restart=True, **arguments)
    assert result["actions"] == ["stop", "start"]
    modules.converge("libvirt_pool", name="mounted", state="deleted", delete_data=True)
    assert not (tmp_path / "mnt").exists()
    assert not (brick / "v").exists()


def test_multipath_devices(modules, libvirtd):
    """A machine without multipath devices has an empty pool of them."""
    require(libvirtd, "mpath")
    result = modules.converge("libvirt_pool", name="paths", type="mpath")
    assert result["pool"]["target_path"] == "/dev/mapper"
    modules.converge("libvirt_pool", name="paths", state="undefined")
