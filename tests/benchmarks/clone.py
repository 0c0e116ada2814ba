# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full copies of a cached image, for bench_clone.

Runs beside nova, which the benchmarks do not. It makes the image in both formats and pools on a
libvirtd of its own, says "ready", and answers each line "ours FORMAT" or "peer FORMAT" with the
seconds that the copy took.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import nova.conf
import nova.privsep
from nova_polyvisor.libvirt.pool import VolumeSpec
from nova_polyvisor.libvirt.storage import Storage
from private_libvirtd import private_libvirtd
from sparse_image import SIZE, make_sparse_image
from support import DISKS_POOL, LibvirtdHost

CONF = nova.conf.CONF
FORMATS = ("raw", "qcow2")
COPY = "copy"


def convert(source: str, source_format: str, target: str) -> None:
    """Copy an image into another of the same format, as nova does."""
    command = ["qemu-img", "convert", "-f", source_format, "-O", source_format, source, target]
    subprocess.run(command, check=True)


def ours(storage: Storage, image_format: str) -> float:
    """Copy the image into a volume; seconds."""
    spec = VolumeSpec(COPY, image_format, SIZE)
    start = time.perf_counter()
    storage.disks.clone(spec, storage.base_images, image_format, image_format)
    seconds = time.perf_counter() - start
    storage.disks.delete(COPY)
    return seconds


def peer(images: str, disks: str, image_format: str) -> float:
    """Copy the image into a file; seconds."""
    target = os.path.join(disks, COPY)
    start = time.perf_counter()
    convert(os.path.join(images, image_format), image_format, target)
    seconds = time.perf_counter() - start
    os.unlink(target)
    return seconds


def main() -> None:
    CONF([], project="nova", default_config_files=[], default_config_dirs=[])
    # Nova's daemon for what needs root is this process, which root runs.
    nova.privsep.sys_admin_pctxt.set_client_mode(False)
    with private_libvirtd() as daemon:
        host = LibvirtdHost(daemon.uri)
        CONF.set_override("instances_path", os.path.join(daemon.directory, "instances"))
        images = os.path.join(CONF.instances_path, CONF.image_cache.subdirectory_name)
        disks = os.path.join(daemon.directory, "disks")
        os.makedirs(images)
        os.mkdir(disks)
        raw = str(make_sparse_image(Path(images) / "raw"))
        command = ["qemu-img", "convert", "-O", "qcow2", raw, os.path.join(images, "qcow2")]
        subprocess.run(command, check=True)
        host.get_connection().storagePoolCreateXML(
            f"<pool type='dir'><name>{DISKS_POOL}</name><target><path>{disks}</path></target></pool>"
        )
        storage = Storage(host)
        storage.prepare()
        print("ready", flush=True)
        for line in sys.stdin:
            who, image_format = line.split()
            if who == "ours":
                print(ours(storage, image_format), flush=True)
            else:
                print(peer(images, disks, image_format), flush=True)
        host.close()


if __name__ == "__main__":
    main()
