# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt_pool and libvirt_volume on LVM volume groups; judged by LVM's own commands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from modules import ModuleFailed

MIB = 1024**2
EXTENT = 4 * MIB


def lvm(kind: str, *columns: str) -> list[tuple[str, ...]]:
    """What LVM says of its volume groups (vg), physical (pv) or logical volumes (lv)."""
    command = [f"{kind}s", "--reportformat=json", f"--options={','.join(columns)}"]
    (report,) = json.loads(subprocess.check_output(command))["report"]
    return sorted(tuple(row.values()) for row in report[kind])


def carried(device: str) -> str:
    """What blkid finds on a device."""
    command = ["blkid", "--probe", "--output", "export", device]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def make_group(*devices: str) -> None:
    """A volume group that libvirt knows nothing of, with a volume."""
    subprocess.run(["vgcreate", "group", *devices], check=True)
    command = ["lvcreate", "--yes", "--name=kept", "--size=8M", "group"]
    subprocess.run(command, check=True)
    Path("/dev/group/kept").write_bytes(b"kept" * 1024)


def content(name: str) -> bytes:
    """The first MiB of a volume."""
    with Path("/dev/group", name).open("rb") as file:
        return file.read(MIB)


@pytest.fixture
def devices(make_device):
    """Two empty devices."""
    return [make_device(), make_device()]


@pytest.fixture
def group(devices):
    """Arguments of a pool on both devices."""
    return {"name": "lvm", "type": "logical", "source": {"name": "group", "devices": devices}}


def volume(name: str, **more) -> dict:
    """Arguments of a volume."""
    return {"pool": "lvm", "name": name, **more}


def test_group_is_made_of_empty_devices(modules, group, devices):
    result = modules.converge("libvirt_pool", autostart=True, **group)
    assert result["actions"] == ["create", "define", "autostart"]
    assert result["pool"]["target_path"] == "/dev/group"
    assert lvm("vg", "vg_name", "pv_count") == [("group", "2")]
    assert lvm("pv", "pv_name", "vg_name") == sorted((device, "group") for device in devices)
    assert 380 * MIB < result["pool"]["capacity"] < 400 * MIB


def test_pool_is_stopped_and_started(modules, group):
    modules.run("libvirt_pool", **group)
    modules.run("libvirt_volume", **volume("v", capacity="8M"))
    modules.converge("libvirt_pool", name="lvm", state="inactive")
    assert lvm("lv", "lv_name", "lv_active") == [("v", "")]
    modules.converge("libvirt_pool", name="lvm")
    assert lvm("lv", "lv_name", "lv_active") == [("v", "active")]


def test_group_of_an_inactive_pool_is_made_at_its_start(modules, group):
    modules.converge("libvirt_pool", **group, state="inactive")
    assert lvm("vg", "vg_name") == []
    modules.converge("libvirt_pool", name="lvm")
    assert lvm("vg", "vg_name") == [("group",)]


@pytest.mark.parametrize("stated", ["devices", "name", "nothing"])
def test_existing_group_is_taken_with_its_volumes(modules, group, devices, stated):
    make_group(*devices)
    if stated != "devices":
        del group["source"]["devices"]
    if stated == "nothing":
        group = {"name": "group", "type": "logical"}
    result = modules.converge("libvirt_pool", **group)
    assert result["actions"] == ["create", "define"]
    assert [each["name"] for each in modules.everything()[0]["volumes"]] == ["kept"]
    modules.converge("libvirt_pool", name=group["name"], state="undefined")
    subprocess.run(["vgchange", "--activate=y", "group"], check=True)
    assert content("kept").startswith(b"kept" * 1024)


@pytest.mark.parametrize("build", ["if_needed", "never"])
def test_group_that_is_not_there_is_told(modules, build):
    arguments = {"name": "lvm", "type": "logical", "source": {"name": "none"}, "build": build}
    with pytest.raises(ModuleFailed, match="none"):
        modules.run("libvirt_pool", **arguments)
    assert modules.everything() == []


def test_empty_devices_are_not_used_without_leave(modules, group, devices):
    modules.refused("libvirt_pool", "build=if_needed", build="never", **group)
    assert not any(carried(device) for device in devices)


def test_device_with_data_is_not_overwritten(modules, group, devices):
    subprocess.run(["mkfs.ext4", "-q", devices[1]], check=True)
    message = modules.refused("libvirt_pool", "ext4", "build=overwrite", **group)
    assert devices[1] in message
    assert not carried(devices[0])
    assert "TYPE=ext4" in carried(devices[1])
    modules.converge("libvirt_pool", build="overwrite", **group)
    assert lvm("vg", "vg_name", "pv_count") == [("group", "2")]


def test_device_of_another_group_is_refused(modules, group, devices):
    subprocess.run(["vgcreate", "other", devices[0]], check=True)
    modules.refused("libvirt_pool", devices[0], **group)
    assert lvm("pv", "vg_name") == [("other",)]


def test_device_of_another_group_with_active_volumes_is_refused_even_for_overwrite(
    modules, group, devices
):
    subprocess.run(["vgcreate", "other", devices[0]], check=True)
    subprocess.run(["lvcreate", "--yes", "--name=used", "--size=8M", "other"], check=True)
    modules.refused("libvirt_pool", devices[0], build="overwrite", **group)
    assert lvm("lv", "lv_name") == [("used",)]


def test_group_of_another_pool_is_refused(modules, group):
    modules.run("libvirt_pool", **group)
    other = {"name": "other", "type": "logical", "source": {"name": "group"}}
    modules.refused("libvirt_pool", "'lvm'", **other)


def test_overwrite_does_not_make_a_group_anew_that_is_there(modules, group, devices):
    make_group(*devices)
    modules.converge("libvirt_pool", build="overwrite", **group)
    assert content("kept").startswith(b"kept")


def test_physical_volume_of_no_group_is_told(modules, group, devices):
    """What a build leaves that was killed, or a group that was removed."""
    subprocess.run(["pvcreate", devices[0]], check=True)
    modules.refused("libvirt_pool", devices[0], "build=overwrite", **group)
    modules.converge("libvirt_pool", build="overwrite", **group)


@pytest.mark.parametrize("state", ["active", "inactive"])
def test_deleted_pool_leaves_empty_devices(modules, group, devices, state):
    modules.run("libvirt_pool", **group)
    modules.run("libvirt_volume", **volume("v", capacity="8M"))
    modules.run("libvirt_pool", name="lvm", state=state)
    modules.refused("libvirt_pool", "delete_data", name="lvm", state="deleted")
    modules.converge("libvirt_pool", name="lvm", state="deleted", delete_data=True)
    assert lvm("vg", "vg_name") == []
    assert not any(carried(device) for device in devices)
    modules.converge("libvirt_pool", **group)
    assert modules.everything()[0]["volumes"] == []


def test_volumes_come_to_be_and_go(modules, group):
    modules.run("libvirt_pool", **group)
    for name, capacity, extents in (("a", "10000001", 3), ("b", "8MiB", 2), ("c", "8MB", 2)):
        result = modules.converge("libvirt_volume", **volume(name, capacity=capacity))
        assert result["volume"]["type"] == "block"
        assert result["volume"]["path"] == f"/dev/group/{name}"
        assert result["volume"]["capacity"] == extents * EXTENT
    assert lvm("lv", "lv_name") == [("a",), ("b",), ("c",)]
    modules.converge("libvirt_volume", **volume("a", state="absent"))
    assert lvm("lv", "lv_name") == [("b",), ("c",)]


def test_volume_is_not_resized(modules, group):
    modules.run("libvirt_pool", **group)
    modules.run("libvirt_volume", **volume("v", capacity="12M"))
    for capacity in ("8M", "16M"):
        arguments = volume("v", capacity=capacity, allow_shrink=True)
        modules.refused("libvirt_volume", "type logical", **arguments)


def test_sparse_volume_is_made_only_if_stated(modules, group):
    modules.run("libvirt_pool", **group)
    modules.converge("libvirt_volume", **volume("whole", capacity="8M"))
    modules.converge("libvirt_volume", **volume("sparse", capacity="1G", allocation="8M"))
    assert lvm("lv", "lv_name", "segtype", "lv_size") == [
        ("sparse", "linear", "8.00m"),
        ("whole", "linear", "8.00m"),
    ]
    found = modules.everything()[0]["volumes"]
    assert [each["capacity"] for each in found] == [1024 * MIB, 8 * MIB]


def test_volume_that_does_not_fit_leaves_nothing(modules, group):
    modules.run("libvirt_pool", **group)
    with pytest.raises(ModuleFailed, match="'v'"):
        modules.run("libvirt_volume", **volume("v", capacity="1G"))
    assert lvm("lv", "lv_name") == []


def test_volume_is_cloned(modules, group, pool):
    modules.run("libvirt_pool", **group)
    modules.run("libvirt_volume", **volume("v", capacity="8M"))
    Path("/dev/group/v").write_bytes(b"content" * 1000)
    modules.converge("libvirt_volume", **volume("w", clone={"pool": "lvm", "name": "v"}))
    assert content("w") == content("v")
    out = {"pool": pool, "name": "x", "format": "qcow2", "clone": {"pool": "lvm", "name": "v"}}
    modules.converge("libvirt_volume", **out)
    clone = {"pool": pool, "name": "x"}
    modules.converge("libvirt_volume", **volume("y", clone=clone, capacity="12M"))
    assert content("y") == content("v")


def test_copy_on_write_is_refused(modules, group):
    modules.run("libvirt_pool", **group)
    modules.run("libvirt_volume", **volume("v", capacity="8M"))
    backing = {"pool": "lvm", "name": "v"}
    modules.refused("libvirt_volume", "logical", **volume("w", backing=backing))


def test_upload_wipe_and_download(modules, group, tmp_path):
    modules.run("libvirt_pool", **group)
    image, copy = tmp_path / "image", tmp_path / "copy"
    image.write_bytes(b"upload" * MIB)
    upload = {"src": str(image)}
    modules.converge("libvirt_volume", **volume("v", upload=upload))
    assert content("v") == image.read_bytes()[:MIB]
    modules.converge("libvirt_volume", **volume("v", download={"dest": str(copy)}))
    assert copy.read_bytes().startswith(image.read_bytes())
    image.write_bytes(b"another" * MIB)
    modules.converge("libvirt_volume", **volume("v", upload=upload))
    assert content("v") == image.read_bytes()[:MIB]
    assert lvm("lv", "lv_name", "lv_size") == [("v", "8.00m")]
    modules.converge("libvirt_volume", **volume("v", wipe="zero"))
    assert content("v") == bytes(MIB)


def test_what_lvm_itself_made_is_told(modules, group, devices):
    """A snapshot, stripes and a mirror."""
    make_group(*devices)
    for options in (
        ("--name=before", "--snapshot", "--size=4M", "group/kept"),
        ("--name=striped", "--stripes=2", "--size=16M"),
        ("--name=mirror", "--type=raid1", "--mirrors=1", "--size=8M"),
    ):
        target = () if options[-1].startswith("group/") else ("group",)
        subprocess.run(["lvcreate", "--yes", *options, *target], check=True)
    modules.converge("libvirt_pool", **group)
    found = {each["name"]: each for each in modules.everything()[0]["volumes"]}
    assert {"kept", "before", "mirror", "striped"} == set(found)
    assert found["before"]["backing"]["path"] == "/dev/group/kept"
    modules.converge("libvirt_volume", **volume("striped", state="absent"))
    modules.converge("libvirt_volume", **volume("before", state="absent"))
