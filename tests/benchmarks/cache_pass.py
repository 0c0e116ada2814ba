# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes of image cache managers over many instances, for bench_cache_pass.

Runs beside nova, which the benchmarks do not. It makes the instances twice, once with files and
once with volumes on a libvirtd of its own, says "ready", and answers each line "novas" or "ours"
with the seconds that a pass of that manager took.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from typing import Any
from unittest import mock

import nova.conf
from nova import context, objects
from nova.virt.libvirt import imagecache
from nova_polyvisor.libvirt.cache import StorageCacheManager
from nova_polyvisor.libvirt.storage import Storage
from private_libvirtd import private_libvirtd
from support import DISKS_POOL, LibvirtdHost

CONF = nova.conf.CONF
INSTANCES = 500
IMAGES = 20


def make_cache(instances_path: str) -> list[str]:
    """Fill an image cache and return the paths of the images."""
    cache = os.path.join(instances_path, CONF.image_cache.subdirectory_name)
    os.makedirs(cache)
    names = [imagecache.get_cache_fname(str(number)) for number in range(IMAGES)]
    for name in names:
        with open(os.path.join(cache, name), "wb") as file:
            file.truncate(1 << 20)
    return [os.path.join(cache, name) for name in names]


def make_disks(images: list[str], paths: list[str]) -> None:
    """Make disks that lie over the images in turn."""
    for number, image in enumerate(images):
        first, *others = paths[number :: len(images)]
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "raw", first]
        subprocess.run(command, check=True)
        for other in others:
            shutil.copy(first, other)


def run(manager: Any, uuids: list[str]) -> float:
    """Let a cache manager do its pass and return the seconds that it took.

    Which instances there are and what images they were booted from is told by the database, which
    is not there; what counts are the disks.
    """
    running = {
        "used_images": {},
        "instance_names": set(uuids),
        "used_swap_images": set(),
        "used_ephemeral_images": set(),
    }
    with mock.patch.object(manager, "_list_running_instances", return_value=running):
        start = time.perf_counter()
        manager.update(context.get_admin_context(), objects.InstanceList(objects=[]))
        seconds = time.perf_counter() - start
    found = len(set(manager.active_base_files))
    if found != IMAGES:
        raise SystemExit(f"the pass of {type(manager).__name__} found {found} images in use")
    return seconds


@contextmanager
def instances_path(path: str) -> Any:
    """Let nova's instances be in a directory."""
    CONF.set_override("instances_path", path)
    yield
    CONF.clear_override("instances_path")


def main() -> None:
    # Nova's manager warns of each image that the database, which is not there, does not know.
    logging.disable(logging.WARNING)
    CONF([], project="nova", default_config_files=[], default_config_dirs=[])
    uuids = [str(uuid.uuid4()) for _number in range(INSTANCES)]
    with tempfile.TemporaryDirectory() as files, private_libvirtd() as daemon:
        for each in uuids:
            os.mkdir(os.path.join(files, each))
        make_disks(make_cache(files), [os.path.join(files, each, "disk") for each in uuids])

        host = LibvirtdHost(daemon.uri)
        volumes = os.path.join(daemon.directory, "instances")
        disks = os.path.join(daemon.directory, "disks")
        os.mkdir(disks)
        images = make_cache(volumes)
        for each in uuids:
            os.mkdir(os.path.join(volumes, each))
        make_disks(images, [os.path.join(disks, f"{each}_disk") for each in uuids])
        host.get_connection().storagePoolCreateXML(
            f"<pool type='dir'><name>{DISKS_POOL}</name><target><path>{disks}</path></target></pool>"
        )
        with instances_path(volumes):
            storage = Storage(host)
            storage.prepare()
        print("ready", flush=True)
        for line in sys.stdin:
            if line.strip() == "ours":
                with instances_path(volumes):
                    print(run(StorageCacheManager(storage), uuids), flush=True)
            else:
                with instances_path(files):
                    print(run(imagecache.ImageCacheManager(), uuids), flush=True)
        host.close()


if __name__ == "__main__":
    main()
