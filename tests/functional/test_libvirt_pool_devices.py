# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt_pool and libvirt_volume on block devices, on a real libvirtd."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def carried(device: str) -> str:
    """What blkid finds on a device."""
    command = ["blkid", "--probe", "--output", "export", device]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def fs(device, tmp_path):
    """Arguments of a pool on a new ext4 file system."""
    return {
        "name": "files",
        "type": "fs",
        "source": {"devices": [device], "format": "ext4"},
        "target": {"path": str(tmp_path / "mnt")},
    }


@pytest.fixture
def disk(device):
    """Arguments of a pool on a new partition table."""
    return {"name": "parts", "type": "disk", "source": {"devices": [device], "format": "gpt"}}


def test_file_system_is_made_and_mounted(modules, libvirtd, fs, device, tmp_path):
    result = modules.converge("libvirt_pool", **fs)
    assert result["actions"] == ["create", "define"]
    assert 100 * 1024**2 < result["pool"]["capacity"] < 200 * 1024**2
    assert f"{device} {tmp_path}/mnt ext4" in libvirtd.run("cat", "/proc/mounts").stdout
    modules.converge("libvirt_volume", pool="files", name="v", capacity="1M")
    modules.converge("libvirt_pool", name="files", state="inactive")
    assert device not in libvirtd.run("cat", "/proc/mounts").stdout


def test_file_system_is_taken_with_its_data(modules, fs):
    modules.run("libvirt_pool", **fs)
    modules.run("libvirt_volume", pool="files", name="kept", capacity="1M")
    modules.converge("libvirt_pool", name="files", state="undefined")
    modules.converge("libvirt_pool", **fs)
    assert "kept" in [volume["name"] for volume in modules.everything()[0]["volumes"]]


def test_file_system_of_another_kind_is_not_overwritten(modules, fs, device):
    subprocess.run(["mkfs.vfat", device], check=True, capture_output=True)
    message = modules.refused("libvirt_pool", "vfat", "build=overwrite", **fs)
    assert device in message
    assert "TYPE=vfat" in carried(device)
    modules.converge("libvirt_pool", build="overwrite", **fs)
    assert "TYPE=ext4" in carried(device)


def test_overwrite_does_not_format_a_pool_that_is_there(modules, fs):
    modules.run("libvirt_pool", **fs)
    modules.run("libvirt_volume", pool="files", name="kept", capacity="1M")
    modules.converge("libvirt_pool", **{**fs, "state": "inactive"})
    modules.converge("libvirt_pool", build="overwrite", **fs)
    assert "kept" in [volume["name"] for volume in modules.everything()[0]["volumes"]]


def test_empty_device_is_not_formatted_without_leave(modules, fs, device):
    modules.refused("libvirt_pool", "build=if_needed", build="never", **fs)
    assert not carried(device)


def test_mounted_device_is_refused_even_for_overwrite(modules, libvirtd, fs, device, tmp_path):
    subprocess.run(["mkfs.ext4", "-q", device], check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    libvirtd.run("mount", device, str(elsewhere))
    try:
        for build in ("if_needed", "overwrite"):
            modules.refused("libvirt_pool", str(elsewhere), build=build, **fs)
    finally:
        libvirtd.run("umount", str(elsewhere))


def test_file_system_that_is_mounted_at_the_target_is_taken_but_not_overwritten(
    modules, libvirtd, fs, device, tmp_path
):
    subprocess.run(["mkfs.ext4", "-q", device], check=True)
    (tmp_path / "mnt").mkdir()
    libvirtd.run("mount", device, str(tmp_path / "mnt"))
    modules.refused("libvirt_pool", "mounted", build="overwrite", **fs)
    modules.converge("libvirt_pool", **fs)


def test_device_that_a_mount_outside_uses_is_refused(modules, fs, device, tmp_path):
    """The mount is in another namespace: only the kernel's claim on the device tells of it."""
    subprocess.run(["mkfs.ext4", "-q", device], check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(["mount", device, elsewhere], check=True)
    try:
        modules.refused("libvirt_pool", device, build="overwrite", **fs)
    finally:
        subprocess.run(["umount", elsewhere], check=True)


def test_device_of_another_pool_is_refused(modules, fs, tmp_path):
    modules.run("libvirt_pool", **fs)
    other = {**fs, "name": "other", "target": {"path": str(tmp_path / "other")}}
    modules.refused("libvirt_pool", "'files'", build="overwrite", **other)
    modules.run("libvirt_pool", name="files", state="inactive")
    modules.refused("libvirt_pool", "'files'", build="overwrite", **other)


def test_file_that_is_no_device_is_refused(modules, fs, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"data")
    for path, word in ((file, "no block device"), (tmp_path / "none", "No such file")):
        fs["source"]["devices"] = [str(path)]
        modules.refused("libvirt_pool", word, **fs)
    assert file.read_bytes() == b"data"


def test_deleted_file_system_pool_keeps_the_empty_file_system(modules, fs, device, tmp_path):
    modules.run("libvirt_pool", **fs)
    modules.run("libvirt_volume", pool="files", name="v", capacity="1M")
    modules.converge("libvirt_pool", name="files", state="deleted", delete_data=True)
    assert not (tmp_path / "mnt").exists()
    assert "TYPE=ext4" in carried(device)
    modules.run("libvirt_pool", **fs)
    assert [volume["name"] for volume in modules.everything()[0]["volumes"]] == ["lost+found"]


def test_directory_becomes_a_file_system(modules, pool, fs, tmp_path):
    """The type of a pool changes at its restart; what the old one held stays."""
    modules.run("libvirt_volume", pool=pool, name="kept", capacity="1M")
    fs["name"] = pool
    result = modules.converge("libvirt_pool", **fs)
    assert result["restart_required"]
    assert result["pool"]["type"] == "dir"
    result = modules.converge("libvirt_pool", restart=True, **fs)
    assert not result["restart_required"]
    assert result["pool"]["type"] == "fs"
    assert (tmp_path / "pool" / "kept").exists()


def test_partition_table_is_made(modules, disk, device):
    result = modules.converge("libvirt_pool", **disk)
    assert result["actions"] == ["create", "define"]
    assert result["pool"]["target_path"] == "/dev"
    assert "PTTYPE=gpt" in carried(device)


def test_partition_table_is_taken_with_its_partitions(modules, disk, device):
    modules.run("libvirt_pool", **disk)
    name = f"{Path(device).name}p1"
    modules.run("libvirt_volume", pool="parts", name=name, capacity="10M")
    modules.converge("libvirt_pool", name="parts", state="undefined")
    modules.converge("libvirt_pool", **disk)
    assert [volume["name"] for volume in modules.everything()[0]["volumes"]] == [name]


def test_disk_with_a_file_system_is_not_overwritten(modules, disk, device):
    subprocess.run(["mkfs.ext4", "-q", device], check=True)
    modules.refused("libvirt_pool", "ext4", "build=overwrite", **disk)
    assert "TYPE=ext4" in carried(device)
    modules.converge("libvirt_pool", build="overwrite", **disk)
    assert "PTTYPE=gpt" in carried(device)


def test_file_system_is_not_made_over_a_partition_table(modules, fs, device):
    subprocess.run(["parted", "--script", device, "mklabel", "gpt"], check=True)
    modules.refused("libvirt_pool", "gpt", "build=overwrite", **fs)
    assert "PTTYPE=gpt" in carried(device)


@pytest.mark.parametrize("table", ["gpt", "dos"])
def test_partitions_come_to_be(modules, disk, device, table):
    disk["source"]["format"] = table
    modules.run("libvirt_pool", **disk)
    stem = Path(device).name
    for number, capacity in ((1, "10000001"), (2, "10MiB"), (3, "20MB")):
        arguments = {"pool": "parts", "name": f"{stem}p{number}", "capacity": capacity}
        result = modules.converge("libvirt_volume", **arguments)
        assert result["volume"]["type"] == "block"
        assert result["volume"]["capacity"] >= 10_000_001


def test_partition_of_another_name_is_refused_before_it_is_made(modules, disk, device):
    modules.run("libvirt_pool", **disk)
    expected = f"{Path(device).name}p1"
    modules.refused("libvirt_volume", expected, pool="parts", name="data", capacity="10M")
    listing = subprocess.check_output(["parted", "--script", "--machine", device, "print"])
    assert len(listing.splitlines()) == 2, "a partition was made"


def test_partition_is_not_resized(modules, disk, device):
    modules.run("libvirt_pool", **disk)
    arguments = {"pool": "parts", "name": f"{Path(device).name}p1"}
    modules.run("libvirt_volume", capacity="10M", **arguments)
    modules.refused("libvirt_volume", "disk", capacity="50M", **arguments)


def test_partition_that_cannot_be_deleted_is_told(modules, disk, device):
    """libvirt cannot, where the device's name ends in a digit; the module says what to do."""
    modules.run("libvirt_pool", **disk)
    arguments = {"pool": "parts", "name": f"{Path(device).name}p1"}
    modules.run("libvirt_volume", capacity="10M", **arguments)
    with pytest.raises(AssertionError, match="ends in a digit.*parted"):
        modules.run("libvirt_volume", state="absent", **arguments)


def test_deleted_disk_pool_loses_its_partition_table(modules, disk, device):
    modules.run("libvirt_pool", **disk)
    name = f"{Path(device).name}p1"
    modules.run("libvirt_volume", pool="parts", name=name, capacity="10M")
    result = modules.converge("libvirt_pool", name="parts", state="deleted", delete_data=True)
    assert result["diff"]["before"]["volumes"] == [name]
    assert not carried(device)
