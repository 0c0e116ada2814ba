# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt_pool on exports of the kernel's own NFS server."""

from __future__ import annotations

import subprocess

import pytest
from modules import ModuleFailed

ADDRESS = "127.0.0.1"


@pytest.fixture(scope="session")
def server():
    """The guest's NFS server."""
    subprocess.run(["systemctl", "start", "nfs-server"], check=True)


@pytest.fixture
def export(server, tmp_path):
    """A directory that the server exports."""
    directory = tmp_path / "export"
    directory.mkdir()
    subprocess.run(
        ["exportfs", "-o", "rw,sync,no_root_squash,no_subtree_check", f"{ADDRESS}:{directory}"],
        check=True,
    )
    yield directory
    subprocess.run(["exportfs", "-u", f"{ADDRESS}:{directory}"], check=True)


@pytest.fixture
def nfs(export, tmp_path):
    """Arguments of a pool on that export."""
    return {
        "name": "shared",
        "type": "netfs",
        "source": {"hosts": [{"name": ADDRESS}], "dir": str(export), "format": "nfs"},
        "target": {"path": str(tmp_path / "mnt")},
    }


def mounted(libvirtd, path) -> dict[str, str]:
    """The options of what is mounted at a path, where libvirtd is; empty if nothing is."""
    for line in libvirtd.run("cat", "/proc/mounts").stdout.splitlines():
        _source, where, kind, options, *_rest = line.split()
        if where == str(path):
            assert kind.startswith("nfs")
            pairs = (option.partition("=") for option in options.split(","))
            return {key: value for key, _equals, value in pairs}
    return {}


def test_export_is_mounted(export, modules, libvirtd, nfs, tmp_path):
    result = modules.converge("libvirt_pool", autostart=True, **nfs)
    assert result["actions"] == ["create", "define", "autostart"]
    assert mounted(libvirtd, tmp_path / "mnt")
    assert result["pool"]["capacity"] > 0
    modules.converge("libvirt_volume", pool="shared", name="v", capacity="1M", format="qcow2")
    assert (export / "v").exists()
    modules.converge("libvirt_pool", name="shared", state="inactive")
    assert not mounted(libvirtd, tmp_path / "mnt")
    modules.converge("libvirt_pool", name="shared")
    assert [each["name"] for each in modules.everything()[0]["volumes"]] == ["v"]
    modules.converge("libvirt_volume", pool="shared", name="v", capacity="2M")
    modules.converge("libvirt_volume", pool="shared", name="v", state="absent")
    assert not (export / "v").exists()


@pytest.mark.parametrize("version", ["3", "4.1", "4.2"])
def test_protocol_version(modules, libvirtd, nfs, tmp_path, version):
    nfs["source"]["protocol_version"] = version
    modules.converge("libvirt_pool", **nfs)
    assert mounted(libvirtd, tmp_path / "mnt")["vers"] == version


def test_mount_options(modules, libvirtd, nfs, tmp_path):
    modules.converge("libvirt_pool", mount_options=["vers=4.1", "soft", "rsize=65536"], **nfs)
    options = mounted(libvirtd, tmp_path / "mnt")
    assert (options["vers"], options["rsize"]) == ("4.1", "65536")
    assert "soft" in options
    result = modules.converge("libvirt_pool", mount_options=["vers=4.2"], **nfs)
    assert result["restart_required"]
    assert mounted(libvirtd, tmp_path / "mnt")["vers"] == "4.1"
    result = modules.converge("libvirt_pool", mount_options=["vers=4.2"], restart=True, **nfs)
    assert result["actions"] == ["stop", "start"]
    assert mounted(libvirtd, tmp_path / "mnt")["vers"] == "4.2"


def test_export_that_is_not_there_is_told(modules, libvirtd, nfs, tmp_path):
    nfs["source"]["dir"] = str(tmp_path / "none")
    with pytest.raises(ModuleFailed, match=rf"pool 'shared'.*{tmp_path}/none"):
        modules.run("libvirt_pool", **nfs)
    assert modules.everything() == []
    assert not mounted(libvirtd, tmp_path / "mnt")


def test_export_of_another_pool_is_refused(modules, nfs, tmp_path):
    modules.run("libvirt_pool", **nfs)
    other = {**nfs, "name": "other", "target": {"path": str(tmp_path / "other")}}
    modules.refused("libvirt_pool", "'shared'", **other)


def test_image_is_copied_and_uploaded_to_it(export, modules, pool, nfs, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(b"upload" * 100_000)
    modules.run("libvirt_pool", **nfs)
    modules.converge("libvirt_volume", pool="shared", name="v", upload={"src": str(image)})
    assert (export / "v").read_bytes().startswith(image.read_bytes())
    clone = {"pool": "shared", "name": "v"}
    modules.converge("libvirt_volume", pool=pool, name="w", clone=clone)
    modules.converge("libvirt_volume", pool="shared", name="x", clone={"pool": pool, "name": "w"})
    assert (export / "x").read_bytes() == (export / "v").read_bytes()


def test_pool_is_forgotten_or_deleted(export, modules, libvirtd, nfs, tmp_path):
    modules.run("libvirt_pool", **nfs)
    modules.run("libvirt_volume", pool="shared", name="v", capacity="1M")
    modules.converge("libvirt_pool", name="shared", state="undefined")
    assert not mounted(libvirtd, tmp_path / "mnt")
    assert (export / "v").exists()
    modules.run("libvirt_pool", **nfs)
    modules.converge("libvirt_pool", name="shared", state="deleted", delete_data=True)
    assert not (tmp_path / "mnt").exists()
    assert export.exists()
    assert not (export / "v").exists()
