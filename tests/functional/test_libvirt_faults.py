# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the libvirt modules refuse, and how they tell; nothing may be changed by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from modules import ModuleFailed


def dir_pool(path: Path, **more) -> dict:
    """Arguments of a pool of type dir."""
    return {"name": "p", "type": "dir", "target": {"path": str(path)}, **more}


@pytest.mark.parametrize("name", ["", "  ", "a/b", "/a", "..", "a\nb"])
def test_pool_name_that_cannot_be(modules, tmp_path, name):
    modules.refused("libvirt_pool", "name", **dir_pool(tmp_path / "pool", name=name))
    assert not (tmp_path / "pool").exists()


@pytest.mark.parametrize("name", ["", "  ", "a/b", "/a", "..", "a\nb"])
def test_volume_name_that_cannot_be(modules, pool, name):
    modules.refused("libvirt_volume", "name", pool=pool, name=name, capacity="1M")


def test_path_that_is_no_directory(modules, tmp_path):
    file = tmp_path / "file"
    file.write_text("kept")
    modules.refused("libvirt_pool", str(file), "no directory", **dir_pool(file))
    modules.refused("libvirt_pool", str(file), "no directory", **dir_pool(file / "below"))
    assert file.read_text() == "kept"


def test_missing_directory_that_is_not_to_be_built(modules, tmp_path):
    modules.refused("libvirt_pool", "if_needed", build="never", **dir_pool(tmp_path / "none"))


def test_relative_path(modules):
    """Ansible makes an option of type path absolute only with a leading tilde."""
    modules.refused("libvirt_pool", "not absolute", name="p", type="dir", target={"path": "a/b"})


def test_pool_without_path_or_device(modules, tmp_path):
    modules.refused("libvirt_pool", "target.path", name="p", type="dir")
    modules.refused("libvirt_pool", "source.devices", **dir_pool(tmp_path, type="fs"))
    source = {"devices": ["/dev/loop0"]}
    modules.refused("libvirt_pool", "no source", source=source, **dir_pool(tmp_path))


def test_format_that_a_pool_cannot_have(modules, device, tmp_path):
    for kind, wrong in (("disk", "ext4"), ("fs", "gpt")):
        source = {"devices": [device], "format": wrong}
        arguments = dir_pool(tmp_path / "mnt", type=kind, source=source)
        modules.refused("libvirt_pool", f"'{wrong}'", "There are:", **arguments)


def test_path_of_another_pool(modules, pool, tmp_path):
    for path in (tmp_path / "pool", f"{tmp_path}/pool/", f"{tmp_path}/./pool"):
        modules.refused("libvirt_pool", "'pool'", "active", **dir_pool(path, name="other"))
    modules.run("libvirt_pool", name=pool, state="inactive")
    modules.refused("libvirt_pool", "'pool'", **dir_pool(tmp_path / "pool", name="other"))


def test_path_of_another_pool_through_a_link(modules, pool, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "pool")
    modules.refused("libvirt_pool", "'pool'", **dir_pool(tmp_path / "link", name="other"))


def test_unknown_pool_names_those_that_are(modules, pool):
    modules.refused("libvirt_pool", "'nope'", pool, name="nope")
    modules.refused("libvirt_volume", "'nope'", pool, pool="nope", name="v", capacity="1M")
    modules.refused("libvirt_volume_info", "'nope'", pool, pool="nope")


def test_inactive_pool_says_what_to_do(modules, pool):
    modules.run("libvirt_pool", name=pool, state="inactive")
    for state in ("present", "absent"):
        arguments = {"pool": pool, "name": "v", "capacity": "1M", "state": state}
        modules.refused("libvirt_volume", "state=active", **arguments)


@pytest.mark.parametrize("capacity", ["10 XiB", "ten", "-5", "1.0000001K", "", "10GiBB", "9E"])
def test_wrong_unit(modules, pool, capacity):
    modules.refused("libvirt_volume", "", pool=pool, name="v", capacity=capacity)


def test_capacity_less_than_the_source(modules, pool):
    modules.run("libvirt_volume", pool=pool, name="base", capacity="10M", format="qcow2")
    source = {"pool": pool, "name": "base"}
    arguments = {"pool": pool, "name": "v", "capacity": "9MiB"}
    for kind in ("backing", "clone"):
        modules.refused("libvirt_volume", "10 MiB", **{kind: source}, **arguments)


def test_new_volume_without_capacity(modules, pool):
    modules.refused("libvirt_volume", "capacity", pool=pool, name="v")


def test_unknown_source_names_those_that_are(modules, pool):
    modules.run("libvirt_volume", pool=pool, name="there", capacity="1M")
    for kind in ("backing", "clone"):
        source = {kind: {"pool": pool, "name": "nope"}}
        modules.refused("libvirt_volume", "'nope'", "there", pool=pool, name="v", **source)
        source = {kind: {"pool": "nopool", "name": "there"}}
        modules.refused("libvirt_volume", "'nopool'", "pool", pool=pool, name="v", **source)


def test_backing_path_that_is_not_there(modules, pool, tmp_path):
    backing = {"path": str(tmp_path / "none"), "format": "raw"}
    arguments = {"pool": pool, "name": "v", "capacity": "1M"}
    modules.refused("libvirt_volume", "does not exist", backing=backing, **arguments)


def test_raw_volume_on_a_backing_volume(modules, pool):
    modules.run("libvirt_volume", pool=pool, name="base", capacity="1M")
    backing = {"pool": pool, "name": "base"}
    modules.refused("libvirt_volume", "clone", pool=pool, name="v", format="raw", backing=backing)


def test_other_format_of_an_existing_volume(modules, pool):
    modules.run("libvirt_volume", pool=pool, name="v", capacity="1M", format="raw")
    arguments = {"pool": pool, "name": "v", "capacity": "1M", "format": "qcow2"}
    modules.refused("libvirt_volume", "raw", "qcow2", **arguments)


def test_other_backing_of_an_existing_volume(modules, pool):
    for name in ("a", "b"):
        modules.run("libvirt_volume", pool=pool, name=name, capacity="1M")
    modules.run("libvirt_volume", pool=pool, name="v", backing={"pool": pool, "name": "a"})
    for name, other in (("v", "b"), ("a", "b")):
        backing = {"pool": pool, "name": other}
        modules.refused("libvirt_volume", "lies on", pool=pool, name=name, backing=backing)


def test_unknown_format(modules, pool):
    arguments = {"pool": pool, "name": "v", "capacity": "1M", "format": "floppy"}
    modules.refused("libvirt_volume", "floppy", **arguments)


def test_mode_that_is_not_octal(modules, pool, tmp_path):
    for mode in ("rwx", "0999", "77777"):
        permissions = {"mode": mode}
        arguments = {"pool": pool, "name": "v", "capacity": "1M", "permissions": permissions}
        modules.refused("libvirt_volume", "octal", **arguments)
        target = {"path": str(tmp_path / "new"), "permissions": permissions}
        modules.refused("libvirt_pool", "octal", name="p", type="dir", target=target)


def test_pool_that_cannot_be_built_is_not_left_behind(modules, libvirtd, tmp_path):
    """What only the daemon notices: it has to be taken back."""
    read_only = tmp_path / "read-only"
    read_only.mkdir()
    libvirtd.run("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(read_only))
    try:
        for state in ("active", "inactive"):
            with pytest.raises(ModuleFailed, match="Read-only file system"):
                modules.run("libvirt_pool", **dir_pool(read_only / "pool", state=state))
            assert modules.everything() == []
    finally:
        libvirtd.run("umount", str(read_only))


def test_restart_that_fails_brings_the_old_pool_back(modules, libvirtd, pool, tmp_path):
    read_only = tmp_path / "read-only"
    read_only.mkdir()
    libvirtd.run("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(read_only))
    was = modules.everything()
    try:
        with pytest.raises(ModuleFailed, match="Read-only file system"):
            modules.run("libvirt_pool", **dir_pool(read_only / "pool", name=pool, restart=True))
        assert modules.everything() == was
    finally:
        libvirtd.run("umount", str(read_only))


@pytest.mark.parametrize(
    "uri", ["qemu+unix:///system?socket=/nowhere", "nonsense", "qemu+tcp://127.0.0.1:1/system"]
)
@pytest.mark.parametrize("module", ["libvirt_pool_info", "libvirt_volume_info"])
def test_daemon_that_cannot_be_reached(modules, uri, module):
    with pytest.raises(ModuleFailed) as failure:
        modules.run(module, uri=uri)
    assert uri in str(failure.value)
    assert "Check that" in str(failure.value)


def test_missing_library_says_what_to_install(modules, tmp_path):
    """In an interpreter that has Ansible but no libvirt-python."""
    hide = tmp_path / "hide"
    hide.mkdir()
    (hide / "libvirt.py").write_text("raise ModuleNotFoundError('No module named libvirt')")
    arguments = tmp_path / "arguments.json"
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {}}))
    environment = dict(modules.environment)
    environment["PYTHONPATH"] = f"{hide}:{environment['PYTHONPATH']}"
    module = "ansible_collections.polyvisor.compute.plugins.modules.libvirt_pool_info"
    run = subprocess.run(
        [sys.executable, "-m", module, str(arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    message = json.loads(run.stdout)["msg"]
    assert "libvirt-python" in message
    assert "python3-libvirt" in message
