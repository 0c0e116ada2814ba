# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Upload, download and wipe on a real libvirtd; content is compared by hash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from modules import ModuleFailed, Modules
from private_libvirtd import PrivateLibvirtd

MIB = 1024**2
# A URI with a host's name: the modules take the daemon's files for those of another machine.
REMOTE = "qemu+ext://elsewhere/system?command={command}"
DOMAIN = """
<domain type='qemu'>
  <name>guest</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{path}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
"""


def digest(path: Path) -> str:
    """The hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fill(path: Path, seed: int, length: int, data: list[tuple[int, int]]) -> Path:
    """A sparse file with random bytes in the given (offset, length) ranges."""
    noise = random.Random(seed)
    with path.open("wb") as file:
        file.truncate(length)
        for offset, size in data:
            file.seek(offset)
            for start in range(0, size, MIB):
                file.write(noise.randbytes(min(MIB, size - start)))
    return path


def convert(raw: Path, image_format: str) -> Path:
    """The same disk in another format."""
    path = raw.with_suffix(f".{image_format}")
    command = ["qemu-img", "convert", "-f", "raw", "-O", image_format, str(raw), str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def folder(tmp_path):
    """The directory of the pool."""
    return tmp_path / "pool"


@pytest.fixture
def source(tmp_path):
    """A sparse raw image of 100 MiB with data at its start, in its midst and at its end."""
    return fill(
        tmp_path / "a.raw", 1, 100 * MIB, [(0, MIB), (50 * MIB + 7, 300_000), (99 * MIB, MIB)]
    )


@pytest.fixture
def other(tmp_path):
    """Another image of the same size."""
    return fill(tmp_path / "b.raw", 2, 100 * MIB, [(3 * MIB, 2 * MIB)])


@pytest.fixture
def remote(tmp_path):
    """A URI under which the daemon looks like one of another machine."""
    script = tmp_path / "connect"
    script.write_text("#!/bin/sh\nexec virt-ssh-helper qemu:///system\n")
    script.chmod(0o755)
    return REMOTE.format(command=script)


def test_upload_makes_a_volume(modules, pool, folder, source):
    arguments = {"pool": pool, "name": "v", "upload": {"src": str(source)}}
    result = modules.converge("libvirt_volume", **arguments)
    assert result["actions"] == ["upload"]
    assert (result["volume"]["format"], result["volume"]["capacity"]) == ("raw", 100 * MIB)
    assert digest(folder / "v") == digest(source)
    assert (folder / "v").stat().st_blocks * 512 < 4 * MIB
    assert os.listdir(folder) == ["v"]


@pytest.mark.parametrize("image_format", ["qcow2", "qcow", "qed", "vdi", "vmdk", "vpc"])
def test_upload_of_an_image_keeps_its_format(modules, pool, folder, source, image_format):
    image = convert(source, image_format)
    arguments = {"pool": pool, "name": "v", "upload": {"src": str(image)}}
    result = modules.converge("libvirt_volume", format=image_format, **arguments)
    assert result["volume"]["format"] == image_format
    assert result["volume"]["capacity"] == result["diff"]["after"]["capacity"] >= 100 * MIB
    assert digest(folder / "v") == digest(image)
    modules.refused(
        "libvirt_volume", "not raw", pool=pool, name="w", format="raw", upload={"src": str(image)}
    )
    modules.refused("libvirt_volume", "clone", capacity="1G", **{**arguments, "name": "w"})


def test_upload_into_a_larger_volume(modules, pool, folder, source):
    arguments = {"pool": pool, "name": "v", "upload": {"src": str(source)}}
    modules.refused("libvirt_volume", "100 MiB", capacity="99M", **arguments)
    modules.converge("libvirt_volume", capacity="150M", **arguments)
    assert (folder / "v").stat().st_size == 150 * MIB
    with (folder / "v").open("rb") as file:
        assert hashlib.sha256(file.read(100 * MIB)).hexdigest() == digest(source)
    modules.converge("libvirt_volume", capacity="200M", **arguments)
    assert (folder / "v").stat().st_size == 200 * MIB


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_other_content_takes_the_place_of_the_old(
    modules, pool, folder, source, other, where, remote
):
    uri = {"uri": remote} if where == "elsewhere" else {}
    arguments = {"pool": pool, "name": "v", **uri}
    permissions = {"mode": "0640", "owner": 65534, "group": 65534}
    modules.run("libvirt_volume", upload={"src": str(source)}, permissions=permissions, **arguments)
    result = modules.converge("libvirt_volume", upload={"src": str(other)}, **arguments)
    assert result["actions"] == ["upload"]
    assert digest(folder / "v") == digest(other)
    assert oct((folder / "v").stat().st_mode)[-3:] == "640"
    assert (folder / "v").stat().st_uid == 65534
    assert os.listdir(folder) == ["v"]
    image = convert(source, "qcow2")
    result = modules.converge("libvirt_volume", upload={"src": str(image)}, **arguments)
    assert result["volume"]["format"] == "qcow2"
    assert os.listdir(folder) == ["v"]


@pytest.mark.parametrize("offset", [0, 50 * MIB + 7 + 299_999, 60 * MIB, 100 * MIB - 1])
def test_one_other_byte_is_seen(modules, pool, folder, source, offset):
    arguments = {"pool": pool, "name": "v", "upload": {"src": str(source)}}
    modules.run("libvirt_volume", **arguments)
    with (folder / "v").open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    assert modules.run("libvirt_volume", check=True, **arguments)["actions"] == ["upload"]
    assert modules.run("libvirt_volume", **arguments)["actions"] == ["upload"]
    assert digest(folder / "v") == digest(source)


def test_holes_that_lie_otherwise_are_no_difference(modules, pool, folder, source, tmp_path):
    arguments = {"pool": pool, "name": "v", "upload": {"src": str(source)}}
    modules.run("libvirt_volume", **arguments)
    solid = tmp_path / "solid.raw"
    subprocess.run(["cp", "--sparse=never", str(source), str(solid)], check=True)
    again = {**arguments, "upload": {"src": str(solid)}}
    assert not modules.run("libvirt_volume", **again)["changed"]
    subprocess.run(["cp", "--sparse=never", str(source), str(folder / "v")], check=True)
    assert not modules.run("libvirt_volume", **arguments)["changed"]


def test_volume_that_exists_is_kept_if_so_wanted(modules, pool, folder, source, other):
    arguments = {"pool": pool, "name": "v"}
    never = {"src": str(other), "replace": "never"}
    modules.run("libvirt_volume", upload={"src": str(source)}, **arguments)
    assert not modules.converge("libvirt_volume", upload=never, **arguments)["changed"]
    assert digest(folder / "v") == digest(source)


def test_volume_of_a_domain_is_not_overwritten(
    modules, libvirtd, pool, folder, source, other, tmp_path
):
    arguments = {"pool": pool, "name": "v"}
    modules.run("libvirt_volume", upload={"src": str(source)}, **arguments)
    xml = tmp_path / "guest.xml"
    xml.write_text(DOMAIN.format(path=folder / "v"))
    libvirtd.virsh("define", str(xml))
    upload = {"src": str(other)}
    modules.refused("libvirt_volume", "'guest'", "never", upload=upload, **arguments)
    modules.refused("libvirt_volume", "'guest'", wipe="zero", **arguments)
    libvirtd.virsh("start", "--paused", "guest")
    for replace in ("unused", "stopped"):
        upload = {"src": str(other), "replace": replace}
        modules.refused("libvirt_volume", "guest", upload=upload, **arguments)
    same = {"src": str(source)}
    assert not modules.run("libvirt_volume", upload=same, **arguments)["changed"]
    libvirtd.virsh("destroy", "guest")
    modules.converge("libvirt_volume", upload=upload, **arguments)
    assert digest(folder / "v") == digest(other)


def test_backing_volume_is_not_overwritten(modules, pool, source, other):
    modules.run("libvirt_volume", pool=pool, name="v", upload={"src": str(source)})
    modules.run("libvirt_volume", pool=pool, name="top", backing={"pool": pool, "name": "v"})
    for replace in ("unused", "stopped"):
        upload = {"src": str(other), "replace": replace}
        modules.refused("libvirt_volume", "pool/top", pool=pool, name="v", upload=upload)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_upload_that_fails_leaves_what_was(
    modules, libvirtd, device, source, tmp_path, where, remote
):
    """The pool is full half-way through."""
    uri = {"uri": remote} if where == "elsewhere" else {}
    mount = str(tmp_path / "mnt")
    files = {"devices": [device], "format": "ext4"}
    modules.run("libvirt_pool", name="small", type="fs", source=files, target={"path": mount})
    arguments = {"pool": "small", **uri}
    modules.run("libvirt_volume", name="old", upload={"src": str(source)}, **arguments)
    modules.run("libvirt_pool", name="small", refresh=True)
    was = modules.everything()
    large = fill(tmp_path / "large.raw", 3, 300 * MIB, [(0, 300 * MIB)])
    for name in ("new", "old"):
        with pytest.raises(ModuleFailed, match="No space left"):
            modules.run("libvirt_volume", name=name, upload={"src": str(large)}, **arguments)
        modules.run("libvirt_pool", name="small", refresh=True)
        assert libvirtd.run("ls", "-A", mount).stdout.split() == ["lost+found", "old"]
    assert modules.everything() == was
    assert digest(source) in libvirtd.run("sha256sum", f"{mount}/old").stdout


def test_partition_is_overwritten_only_with_consent(modules, device, tmp_path):
    disk = {"devices": [device], "format": "gpt"}
    modules.run("libvirt_pool", name="disk", type="disk", source=disk, target={"path": "/dev"})
    name = f"{Path(device).name}p1"
    first = fill(tmp_path / "first", 1, 10 * MIB, [(0, MIB)])
    second = fill(tmp_path / "second", 2, 10 * MIB, [(5 * MIB, MIB)])
    arguments = {"pool": "disk", "name": name}
    modules.converge("libvirt_volume", upload={"src": str(first)}, **arguments)
    modules.refused("libvirt_volume", "in_place", upload={"src": str(second)}, **arguments)
    consent = {"src": str(second), "in_place": True}
    modules.converge("libvirt_volume", upload=consent, **arguments)
    with open(f"/dev/{name}", "rb") as partition:
        assert partition.read(10 * MIB) == second.read_bytes()
    large = fill(tmp_path / "large", 2, 50 * MIB, [(5 * MIB, MIB)])
    consent = {"src": str(large), "in_place": True}
    modules.refused("libvirt_volume", "does not fit", upload=consent, **arguments)


def test_sources_that_cannot_be_uploaded(modules, pool, tmp_path):
    (tmp_path / "empty").touch()
    for src, word in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "directory"),
        (tmp_path / "empty", "empty"),
        ("/dev/zero", "no regular file"),
    ):
        modules.refused("libvirt_volume", word, pool=pool, name="v", upload={"src": str(src)})


def test_download(modules, pool, folder, source, other, tmp_path):
    modules.run("libvirt_volume", pool=pool, name="v", upload={"src": str(source)})
    dest = tmp_path / "out" / "v.raw"
    arguments = {"pool": pool, "name": "v", "download": {"dest": str(dest)}}
    modules.refused("libvirt_volume", "no directory", **arguments)
    dest.parent.mkdir()
    assert modules.converge("libvirt_volume", **arguments)["actions"] == ["download"]
    assert digest(dest) == digest(source)
    assert dest.stat().st_blocks * 512 < 4 * MIB
    assert oct(dest.stat().st_mode)[-3:] == "600"
    dest.write_bytes(other.read_bytes())
    dest.chmod(0o644)
    keep = {"dest": str(dest), "force": False}
    assert not modules.converge("libvirt_volume", pool=pool, name="v", download=keep)["changed"]
    assert modules.converge("libvirt_volume", **arguments)["actions"] == ["download"]
    assert digest(dest) == digest(source)
    assert oct(dest.stat().st_mode)[-3:] == "644"
    with dest.open("ab") as file:
        file.write(b"\0")
    assert modules.converge("libvirt_volume", **arguments)["actions"] == ["download"]
    assert digest(dest) == digest(source)
    assert os.listdir(dest.parent) == ["v.raw"]


def test_download_that_cannot_be(modules, pool, tmp_path):
    arguments = {"pool": pool, "name": "v"}
    modules.refused(
        "libvirt_volume", "no volume 'v'", download={"dest": str(tmp_path / "x")}, **arguments
    )
    modules.run("libvirt_volume", capacity="1M", **arguments)
    modules.refused(
        "libvirt_volume", "is a directory", download={"dest": str(tmp_path)}, **arguments
    )
    modules.refused(
        "libvirt_volume", "no regular file", download={"dest": "/dev/null"}, **arguments
    )


def test_download_to_a_full_file_system_keeps_the_old_file(modules, libvirtd, pool, tmp_path):
    noise = fill(tmp_path / "noise", 5, 5 * MIB, [(0, 5 * MIB)])
    modules.run("libvirt_volume", pool=pool, name="v", upload={"src": str(noise)})
    small = tmp_path / "small"
    small.mkdir()
    libvirtd.run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small))
    try:
        libvirtd.run("sh", "-c", f"echo kept > {small}/v")
        with pytest.raises(ModuleFailed, match="No space left"):
            modules.run("libvirt_volume", pool=pool, name="v", download={"dest": f"{small}/v"})
        assert libvirtd.run("ls", "-A", str(small)).stdout == "v\n"
        assert libvirtd.run("cat", f"{small}/v").stdout == "kept\n"
    finally:
        libvirtd.run("umount", str(small))


def test_wipe(modules, pool, folder, source):
    arguments = {"pool": pool, "name": "v"}
    modules.run("libvirt_volume", upload={"src": str(source)}, **arguments)
    assert modules.converge("libvirt_volume", wipe="zero", **arguments)["actions"] == ["wipe"]
    assert (folder / "v").read_bytes() == bytes(100 * MIB)
    modules.refused(
        "libvirt_volume", "contradict", wipe="zero", upload={"src": str(source)}, **arguments
    )


def test_wipe_before_deletion(modules, pool, folder, source):
    modules.run("libvirt_volume", pool=pool, name="v", upload={"src": str(source)})
    os.link(folder / "v", folder.parent / "link")
    result = modules.converge("libvirt_volume", pool=pool, name="v", state="absent", wipe="zero")
    assert result["actions"] == ["wipe", "delete"]
    assert (folder.parent / "link").read_bytes() == bytes(100 * MIB)


def test_wiped_image_would_be_none(modules, pool):
    arguments = {"pool": pool, "name": "v", "wipe": "zero"}
    modules.run("libvirt_volume", pool=pool, name="v", capacity="1M", format="qcow2")
    modules.refused("libvirt_volume", "state=absent", **arguments)
    modules.converge("libvirt_volume", state="absent", **arguments)


SECRET = "3c1fd1d2-6a30-4ab2-8f0f-3c5ab0a3c8a1"
CIPHER = {"name": "aes", "size": 256, "mode": "xts"}


@contextlib.contextmanager
def volume_secret(libvirtd, tmp_path):
    """A secret of the usage "disk"."""
    xml = tmp_path / "secret.xml"
    xml.write_text(
        f"<secret ephemeral='no' private='no'><uuid>{SECRET}</uuid><usage type='volume'><volume>disk</volume></usage></secret>"
    )
    libvirtd.virsh("secret-define", str(xml))
    try:
        libvirtd.run("virsh", "secret-set-value", SECRET, "--base64", "b3BlbiBzZXNhbWU=")
        yield
    finally:
        libvirtd.virsh("secret-undefine", SECRET)


@pytest.mark.parametrize(("secret", "image_format"), [("usage", "raw"), ("uuid", "qcow2")])
def test_encrypted_volume(modules, libvirtd, pool, folder, tmp_path, secret, image_format):
    arguments = {"pool": pool, "name": "v", "capacity": "8MiB", "format": image_format}
    named = {"usage": "disk", "uuid": SECRET}
    encryption = {"secret": {secret: named[secret]}, "cipher": CIPHER}
    modules.refused("libvirt_volume", "libvirt_secret", encryption=encryption, **arguments)
    with volume_secret(libvirtd, tmp_path):
        result = modules.converge("libvirt_volume", encryption=encryption, **arguments)
        assert result["volume"]["encryption"] == "luks"
        opened = ["qemu-img", "info", "--object", "secret,id=s,data=open sesame", "--image-opts"]
        luks = f"driver=luks,key-secret=s,file.filename={folder / 'v'}"
        qcow2 = (
            f"driver=qcow2,encrypt.format=luks,encrypt.key-secret=s,file.filename={folder / 'v'}"
        )
        subprocess.run([*opened, luks if image_format == "raw" else qcow2], check=True)
        modules.run("libvirt_volume", pool=pool, name="plain", capacity="8M", format=image_format)
        plain = {"pool": pool, "name": "plain"}
        modules.refused("libvirt_volume", "encrypted", encryption=encryption, **plain)


#: Fails as qemu-img does where the clock is too coarse to measure the work of a key, and once only.
COARSE_CLOCK = """#!/bin/sh
if [ "$1" = create ] && mkdir {folder}/failed; then
  echo "qemu-img: Unable to get accurate CPU usage" >&2
  exit 1
fi
exec {folder}/real "$@"
"""


def test_key_whose_work_could_not_be_measured_is_made_again(modules, libvirtd, pool, tmp_path):
    program = shutil.which("qemu-img")
    shutil.copy(program, tmp_path / "real")
    fails_once = tmp_path / "qemu-img"
    fails_once.write_text(COARSE_CLOCK.format(folder=tmp_path))
    fails_once.chmod(0o755)
    encryption = {"secret": {"usage": "disk"}, "cipher": CIPHER}
    wanted = {"pool": pool, "name": "v", "capacity": "8MiB", "format": "raw"}
    with volume_secret(libvirtd, tmp_path):
        libvirtd.run("mount", "--bind", str(fails_once), program)
        try:
            modules.run("libvirt_volume", encryption=encryption, **wanted)
        finally:
            libvirtd.run("umount", program)
        assert (tmp_path / "failed").exists()
        assert not modules.run("libvirt_volume", encryption=encryption, **wanted)["changed"]


@pytest.mark.parametrize("kind", ["new", "replaced", "clone"])
@pytest.mark.parametrize("seed", range(3))
def test_kill_leaves_the_old_or_the_new(modules, pool, folder, source, tmp_path, kind, seed):
    """At a moment chosen by the seed; the next run completes it and removes what was left."""
    large = fill(tmp_path / "large", 7, 200 * MIB, [(0, 40 * MIB), (100 * MIB, 20 * MIB)])
    arguments = {"pool": pool, "name": "v"}
    allowed = {None, digest(large)}
    if kind == "replaced":
        modules.run("libvirt_volume", upload={"src": str(source)}, **arguments)
        allowed = {digest(source), digest(large)}
    if kind == "clone":
        modules.run("libvirt_volume", pool=pool, name="origin", upload={"src": str(large)})
        wanted = {**arguments, "clone": {"pool": pool, "name": "origin"}}
    else:
        wanted = {**arguments, "upload": {"src": str(large)}}
    process = modules.start("libvirt_volume", wanted)
    time.sleep(random.Random(seed).uniform(0.2, 1.2))
    process.kill()
    process.communicate()
    found = digest(folder / "v") if (folder / "v").exists() else None
    assert found in allowed
    modules.run("libvirt_volume", **wanted)
    assert not modules.run("libvirt_volume", **wanted)["changed"]
    assert digest(folder / "v") == digest(large)


@pytest.mark.parametrize("exists", [False, True])
def test_two_uploads_at_once(modules, pool, folder, source, other, tmp_path, exists):
    if exists:
        modules.run(
            "libvirt_volume",
            pool=pool,
            name="v",
            upload={"src": str(fill(tmp_path / "c", 9, MIB, [(0, MIB)]))},
        )
    arguments = {"pool": pool, "name": "v"}
    sources = [source, source, other]
    runs = [
        modules.start("libvirt_volume", {**arguments, "upload": {"src": str(path)}})
        for path in sources
    ]
    for run in runs:
        modules.result(run)
    assert digest(folder / "v") in (digest(source), digest(other))
    modules.converge("libvirt_volume", upload={"src": str(source)}, **arguments)
    assert os.listdir(folder) == ["v"]


@pytest.fixture
def another_libvirtd(tmp_path, collections):
    """Makes a libvirtd of its own and the modules for it."""
    with contextlib.ExitStack() as started:

        def make(number: int) -> tuple[PrivateLibvirtd, Modules]:
            folders = [tmp_path / f"{kind}{number}" for kind in ("daemon", "modules")]
            for each in folders:
                each.mkdir()
            daemon = PrivateLibvirtd(folders[0])
            daemon.start()
            started.callback(daemon.stop)
            modules = Modules(daemon, collections, folders[1])
            started.callback(modules.close)
            return daemon, modules

        yield make


@pytest.mark.parametrize("kind", ["clone", "upload"])
def test_libvirtd_that_dies_leaves_no_half_volume(another_libvirtd, folder, tmp_path, kind):
    """It is killed when the first bytes of the new volume are there."""
    folder.mkdir()
    origin = fill(folder / "origin", 4, 300 * MIB, [(0, 300 * MIB)])
    target = {"name": "pool", "type": "dir", "target": {"path": str(folder)}}
    source = {"clone": {"pool": "pool", "name": "origin"}, "upload": {"src": str(origin)}}
    wanted = {"pool": "pool", "name": "v", kind: source[kind]}
    daemon, modules = another_libvirtd(1)
    modules.run("libvirt_pool", **target)
    run = modules.start("libvirt_volume", wanted)
    while not any(path.stat().st_blocks > 8192 for path in folder.iterdir() if path != origin):
        assert run.poll() is None, "it was faster than the test"
        time.sleep(0.01)
    daemon.kill()
    with pytest.raises(ModuleFailed, match="The connection to libvirt broke"):
        modules.result(run)
    assert not (folder / "v").exists()
    modules = another_libvirtd(2)[1]
    modules.run("libvirt_pool", **target)
    modules.converge("libvirt_volume", **wanted)
    assert digest(folder / "v") == digest(origin)
    assert sorted(os.listdir(folder)) == ["origin", "v"]
