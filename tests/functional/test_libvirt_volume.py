# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt_volume in a directory, on a real libvirtd; content is judged by qemu-img and qemu-io."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest

MIB = 1024**2

DOMAIN = """
<domain type='qemu'>
  <name>guest</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='volume' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source pool='pool' volume='{volume}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
"""


def image(path: Path) -> dict:
    """What qemu-img says of an image."""
    command = ["qemu-img", "info", "--force-share", "--output=json", str(path)]
    return json.loads(subprocess.check_output(command))


def write(path: Path, image_format: str, pattern: int) -> None:
    """Fill the first MiB of an image with a byte."""
    command = ["qemu-io", "-f", image_format, "-c", f"write -P {pattern} 0 1M", str(path)]
    subprocess.run(command, check=True, capture_output=True)


def holds(path: Path, image_format: str, pattern: int) -> bool:
    """Whether the first MiB of an image holds that byte."""
    command = ["qemu-io", "-f", image_format, "-r", "-c", f"read -P {pattern} 0 1M", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.returncode == 0 and "verification failed" not in run.stdout


@pytest.fixture
def folder(tmp_path):
    """The directory of the pool."""
    return tmp_path / "pool"


@pytest.fixture
def base(modules, pool, folder):
    """A qcow2 volume of 10 MiB with content."""
    modules.run("libvirt_volume", pool=pool, name="base", capacity="10MiB", format="qcow2")
    write(folder / "base", "qcow2", 7)
    return "base"


@pytest.mark.parametrize(
    ("capacity", "size"),
    [("10MiB", 10 * MIB), ("10M", 10 * MIB), ("10MB", 10_000_000), ("10485760", 10 * MIB)],
)
@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_empty_volume(modules, pool, folder, capacity, size, image_format):
    arguments = {"pool": pool, "name": "v", "capacity": capacity, "format": image_format}
    result = modules.converge("libvirt_volume", **arguments)
    assert result["actions"] == ["create"]
    made = image(folder / "v")
    assert (made["format"], result["volume"]["format"]) == (image_format, image_format)
    for shown in (made["virtual-size"], result["volume"]["capacity"]):
        assert 0 <= shown - size < 512
    assert made["actual-size"] < MIB
    if image_format == "qcow2":
        assert made["format-specific"]["data"]["compat"] == "1.1"


def test_capacity_between_sectors_is_no_endless_change(modules, pool):
    for image_format in ("raw", "qcow2"):
        arguments = {"pool": pool, "name": image_format, "format": image_format}
        modules.converge("libvirt_volume", capacity="1000001", **arguments)


def test_allocation_is_reserved(modules, pool, folder):
    modules.converge("libvirt_volume", pool=pool, name="v", capacity="4M", allocation="4MiB")
    assert image(folder / "v")["actual-size"] >= 4 * MIB


def test_copy_on_write_volume_shows_its_backing(modules, pool, base, folder):
    backing = {"pool": pool, "name": base}
    result = modules.converge("libvirt_volume", pool=pool, name="top", backing=backing)
    assert result["volume"]["format"] == "qcow2"
    assert result["volume"]["capacity"] == 10 * MIB
    assert result["volume"]["backing"] == {"path": str(folder / "base"), "format": "qcow2"}
    made = image(folder / "top")
    assert made["backing-filename"] == str(folder / "base")
    assert made["backing-filename-format"] == "qcow2"
    assert made["format-specific"]["data"]["compat"] == "1.1"
    assert holds(folder / "top", "qcow2", 7)


def test_copy_on_write_volume_may_be_larger(modules, pool, base, folder):
    backing = {"pool": pool, "name": base}
    modules.converge("libvirt_volume", pool=pool, name="top", capacity="20M", backing=backing)
    assert image(folder / "top")["virtual-size"] == 20 * MIB


def test_copy_on_write_on_a_path(modules, pool, base, folder, tmp_path):
    """A path in a pool speaks for itself; of another one the format has to be stated."""
    arguments = {"pool": pool, "capacity": "20M"}
    within = {"path": str(folder / "base")}
    modules.converge("libvirt_volume", name="a", backing=within, **arguments)
    outside = tmp_path / "outside.raw"
    outside.write_bytes(b"\7" * MIB)
    backing = {"path": str(outside)}
    modules.refused("libvirt_volume", "backing.format", name="b", backing=backing, **arguments)
    backing["format"] = "raw"
    modules.converge("libvirt_volume", name="b", backing=backing, **arguments)
    assert holds(folder / "b", "qcow2", 7)
    small = {"pool": pool, "name": "c", "capacity": "1000K", "backing": backing}
    modules.refused("libvirt_volume", "1 MiB", **small)
    modules.converge("libvirt_volume", pool=pool, name="d", backing=backing)
    assert image(folder / "d")["virtual-size"] == MIB


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
@pytest.mark.parametrize("capacity", [None, "10MiB", "25MiB"])
def test_clone_is_a_full_copy(modules, pool, base, folder, tmp_path, image_format, capacity):
    target = {"path": str(tmp_path / "other")}
    modules.run("libvirt_pool", name="other", type="dir", target=target)
    arguments = {"pool": "other", "name": "copy", "format": image_format, "capacity": capacity}
    clone = {"pool": pool, "name": base}
    result = modules.converge("libvirt_volume", clone=clone, **arguments)
    assert result["actions"] == ["clone"]
    made = image(tmp_path / "other" / "copy")
    assert made["format"] == image_format
    assert made["virtual-size"] == (25 if capacity == "25MiB" else 10) * MIB
    assert "backing-filename" not in made
    assert holds(tmp_path / "other" / "copy", image_format, 7)


def test_clone_of_a_copy_on_write_volume_stands_alone(modules, pool, base, folder):
    backing = {"pool": pool, "name": base}
    modules.run("libvirt_volume", pool=pool, name="top", backing=backing)
    clone = {"pool": pool, "name": "top"}
    modules.converge("libvirt_volume", pool=pool, name="copy", clone=clone)
    assert "backing-filename" not in image(folder / "copy")
    assert holds(folder / "copy", "qcow2", 7)


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_volume_grows_and_keeps_its_content(modules, pool, folder, image_format):
    arguments = {"pool": pool, "name": "v", "format": image_format}
    modules.run("libvirt_volume", capacity="5M", **arguments)
    write(folder / "v", image_format, 9)
    result = modules.converge("libvirt_volume", capacity="10M", **arguments)
    assert result["actions"] == ["resize"]
    assert (result["diff"]["before"]["capacity"], result["diff"]["after"]["capacity"]) == (
        5 * MIB,
        10 * MIB,
    )
    assert image(folder / "v")["virtual-size"] == 10 * MIB
    assert holds(folder / "v", image_format, 9)


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_volume_shrinks_only_with_consent(modules, pool, folder, image_format):
    arguments = {"pool": pool, "name": "v", "format": image_format}
    modules.run("libvirt_volume", capacity="10M", **arguments)
    modules.refused("libvirt_volume", "allow_shrink=true", capacity="5M", **arguments)
    modules.converge("libvirt_volume", capacity="5M", allow_shrink=True, **arguments)
    assert image(folder / "v")["virtual-size"] == 5 * MIB


def test_backing_volume_does_not_shrink(modules, pool, base):
    modules.run("libvirt_volume", pool=pool, name="top", backing={"pool": pool, "name": base})
    arguments = {"pool": pool, "name": base, "capacity": "5M", "allow_shrink": True}
    modules.refused("libvirt_volume", "pool/top", **arguments)


def test_permissions_are_set_and_kept(modules, pool, folder):
    arguments = {"pool": pool, "name": "v", "capacity": "1M"}
    permissions = {"mode": "0640", "owner": 65534, "group": 65534}
    modules.converge("libvirt_volume", permissions=permissions, **arguments)
    status = (folder / "v").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 65534, 65534)
    permissions = {"mode": "600", "owner": 0}
    result = modules.converge("libvirt_volume", permissions=permissions, **arguments)
    assert result["actions"] == ["permissions"]
    status = (folder / "v").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o600, 0, 65534)


def test_volume_that_is_not_wanted_goes(modules, pool, folder):
    modules.run("libvirt_volume", pool=pool, name="v", capacity="1M")
    result = modules.converge("libvirt_volume", pool=pool, name="v", state="absent")
    assert result["actions"] == ["delete"]
    assert not (folder / "v").exists()


def test_absent_from_a_pool_that_is_gone_is_no_error(modules):
    assert not modules.run("libvirt_volume", pool="none", name="v", state="absent")["changed"]


def test_backing_volume_is_not_deleted(modules, pool, base, tmp_path):
    target = {"path": str(tmp_path / "other")}
    modules.run("libvirt_pool", name="other", type="dir", target=target)
    modules.run("libvirt_volume", pool="other", name="top", backing={"pool": pool, "name": base})
    modules.refused("libvirt_volume", "other/top", pool=pool, name=base, state="absent")
    modules.converge("libvirt_volume", pool="other", name="top", state="absent")
    modules.converge("libvirt_volume", pool=pool, name=base, state="absent")


def test_volume_of_a_defined_domain_is_not_deleted(modules, libvirtd, pool, base, tmp_path):
    xml = tmp_path / "guest.xml"
    xml.write_text(DOMAIN.format(volume=base))
    libvirtd.virsh("define", str(xml))
    modules.refused("libvirt_volume", "'guest'", pool=pool, name=base, state="absent")
    modules.refused("libvirt_pool", "'guest'", name=pool, state="deleted", delete_data=True)
    libvirtd.virsh("undefine", "guest")
    modules.converge("libvirt_volume", pool=pool, name=base, state="absent")


def test_volume_of_a_running_domain_is_left_alone(modules, libvirtd, pool, base, folder, tmp_path):
    xml = tmp_path / "guest.xml"
    xml.write_text(DOMAIN.format(volume=base))
    libvirtd.virsh("create", "--paused", str(xml))
    mode = stat.S_IMODE((folder / "base").stat().st_mode)
    arguments = {"pool": pool, "name": base}
    modules.refused("libvirt_volume", "'guest'", state="absent", **arguments)
    modules.refused("libvirt_volume", "guest", "blockresize", capacity="20M", **arguments)
    permissions = {"owner": 65534, "mode": "0444"}
    assert not modules.run("libvirt_volume", permissions=permissions, **arguments)["changed"]
    assert stat.S_IMODE((folder / "base").stat().st_mode) == mode
    libvirtd.virsh("destroy", "guest")
    modules.converge("libvirt_volume", capacity="20M", permissions=permissions, **arguments)


def test_clone_that_fails_leaves_nothing(modules, device, base, tmp_path, folder):
    """The target is full half-way through the copy."""
    modules.run("libvirt_volume", pool="pool", name="big", capacity="300M", allocation="300M")
    write(folder / "big", "raw", 1)
    fill = ["qemu-io", "-f", "raw", "-c", "write -P 1 0 300M", str(folder / "big")]
    subprocess.run(fill, check=True, capture_output=True)
    source = {"devices": [device], "format": "ext4"}
    target = {"path": str(tmp_path / "mnt")}
    modules.run("libvirt_pool", name="small", type="fs", source=source, target=target)
    was = modules.everything()
    clone = {"pool": "pool", "name": "big"}
    with pytest.raises(AssertionError, match="No space left"):
        modules.run("libvirt_volume", pool="small", name="copy", clone=clone)
    modules.run("libvirt_pool", name="small", refresh=True)
    assert modules.everything() == was


def test_file_that_libvirt_has_not_seen_is_compared_like_a_volume(modules, pool, folder):
    (folder / "v").write_bytes(b"0" * MIB)
    result = modules.run("libvirt_volume", pool=pool, name="v", capacity="1M", format="raw")
    assert not result["changed"]
    assert (folder / "v").read_bytes() == b"0" * MIB
