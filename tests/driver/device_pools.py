# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Disks pools over a device of the tests' own: a file system on it, or a volume group."""

from __future__ import annotations

import os
import subprocess
import unittest

from oslo_utils import uuidutils
from support import StorageFixture

GIB = 1024**3


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def has_device_mapper() -> bool:
    """Tell whether the kernel can make the devices of a volume group."""
    try:
        return os.geteuid() == 0 and "device-mapper" in open("/proc/devices").read()
    except OSError:
        return False


needs_root = unittest.skipUnless(os.geteuid() == 0, "only root makes devices")
needs_device_mapper = unittest.skipUnless(
    has_device_mapper(), "the kernel has no device mapper; make guest runs this in one that has"
)


class DeviceFixture(StorageFixture):
    """A disks pool over a loop device; ``device`` is its path."""

    size = 32 * GIB

    def make_room(self) -> str:
        file = os.path.join(self.daemon.directory, "device")
        with open(file, "wb") as made:
            made.truncate(self.size)
        self.device = _run("losetup", "--find", "--show", file)
        self.addCleanup(_run, "losetup", "--detach", self.device)
        return self.make_on_device()

    def make_on_device(self) -> str:
        """Make what is on the device, and return where the pool's volumes appear."""
        raise NotImplementedError


class FsFixture(DeviceFixture):
    """A disks pool of type fs.

    Libvirt mounts it in a namespace of its own, and so do the tests for themselves: it is the same
    file system in both.
    """

    def make_on_device(self) -> str:
        _run("mkfs.ext4", "-q", self.device)
        directory = os.path.join(self.daemon.directory, "disks")
        os.mkdir(directory)
        _run("mount", self.device, directory)
        self.addCleanup(_run, "umount", directory)
        return directory

    def pool_xml(self, name: str) -> str:
        return (
            f"<pool type='fs'><name>{name}</name>"
            f"<source><device path='{self.device}'/><format type='ext4'/></source>"
            f"<target><path>{self.directory}</path></target></pool>"
        )


class LogicalFixture(DeviceFixture):
    """A disks pool of type logical; ``group`` is its volume group."""

    def make_on_device(self) -> str:
        self.group = f"polyvisor-{uuidutils.generate_uuid()}"
        _run("vgcreate", "--quiet", self.group, self.device)
        self.addCleanup(_run, "vgremove", "--quiet", "--force", "--yes", self.group)
        return f"/dev/{self.group}"

    def pool_xml(self, name: str) -> str:
        return (
            f"<pool type='logical'><name>{name}</name>"
            f"<source><name>{self.group}</name><format type='lvm2'/></source>"
            f"<target><path>{self.directory}</path></target></pool>"
        )
