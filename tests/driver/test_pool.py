# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Pools and volumes on a real libvirtd of the tests' own."""

import contextlib
import errno
import json
import os
import subprocess
import unittest
from unittest import mock

import fixtures
from nova import exception
from nova_polyvisor.libvirt.pool import Backing, Pool, PoolError, VolumeSpec
from support import DISKS_POOL, StorageFixture
from testtools import TestCase

MIB = 1024**2


def qemu_info(path: str) -> dict:
    """Return what qemu-img says of an image."""
    return json.loads(
        subprocess.run(
            ["qemu-img", "info", "--force-share", "--output=json", path],
            check=True,
            capture_output=True,
        ).stdout
    )


def pattern(size: int) -> bytes:
    """Return bytes that are no zeroes and say where they stand."""
    return b"".join(b"%015d\n" % offset for offset in range(0, size, 16))


class PoolCase(TestCase):
    """A pool, ``self.pool``, and a directory for files."""

    def setUp(self):
        super().setUp()
        self.fixture = self.useFixture(StorageFixture())
        self.fixture.pool.create(0)
        self.pool = Pool(self.fixture.host, DISKS_POOL)
        self.scratch = self.useFixture(fixtures.TempDir()).path

    def path(self, name):
        return os.path.join(self.fixture.directory, name)

    def file(self, name, content):
        path = os.path.join(self.scratch, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def content(self, path, name="content.raw"):
        raw = os.path.join(self.scratch, name)
        subprocess.run(["qemu-img", "convert", "-O", "raw", path, raw], check=True)
        with open(raw, "rb") as file:
            return file.read()


class PoolTest(PoolCase):
    def test_empty_qcow2_volume_is_of_the_current_version(self):
        self.pool.create(VolumeSpec("one", "qcow2", 8 * MIB))
        info = qemu_info(self.path("one"))
        self.assertEqual("qcow2", info["format"])
        self.assertEqual(8 * MIB, info["virtual-size"])
        self.assertEqual("1.1", info["format-specific"]["data"]["compat"])

    def test_copy_on_write_volume_lies_over_its_base_in_the_given_format(self):
        base = self.file("base", pattern(MIB))
        self.pool.create(VolumeSpec("one", "qcow2", 4 * MIB, Backing(base, "raw")))
        info = qemu_info(self.path("one"))
        self.assertEqual(base, info["backing-filename"])
        self.assertEqual("raw", info["backing-filename-format"])
        self.assertEqual("1.1", info["format-specific"]["data"]["compat"])
        self.assertEqual(4 * MIB, info["virtual-size"])
        self.assertEqual(base, self.pool.volume("one").backing)
        self.assertEqual(pattern(MIB), self.content(self.path("one"))[:MIB])

    def test_full_copy_has_the_content_and_the_larger_size(self):
        self.pool.upload("source", self.file("source", pattern(MIB)))
        for image_format in ("raw", "qcow2"):
            spec = VolumeSpec(f"copy-{image_format}", image_format, 4 * MIB)
            self.pool.clone(spec, self.pool, "source", "raw")
            found = self.pool.volume(spec.name)
            self.assertEqual((image_format, 4 * MIB), (found.format, found.capacity))
            self.assertIsNone(found.backing)
            copied = self.content(found.path)
            self.assertEqual(4 * MIB, len(copied))
            self.assertEqual(pattern(MIB), copied[:MIB])

    def test_raw_copy_keeps_the_holes(self):
        source = self.file("source", pattern(MIB))
        with open(source, "r+b") as file:
            file.seek(64 * MIB)
            file.write(pattern(512))
        self.pool.upload("source", source)
        whole = pattern(MIB) + bytes(63 * MIB) + pattern(512)
        for kernel_copies in (True, False):
            with contextlib.ExitStack() as stack:
                if not kernel_copies:
                    refused = OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                    stack.enter_context(
                        mock.patch.object(os, "copy_file_range", side_effect=refused)
                    )
                name = f"copy-{kernel_copies}"
                self.pool.clone(VolumeSpec(name, "raw", 80 * MIB), self.pool, "source", "raw")
            self.pool.refresh()
            found = self.pool.volume(name)
            self.assertEqual(80 * MIB, found.capacity)
            self.assertLess(found.allocation, 4 * MIB)
            self.assertEqual(whole + bytes(80 * MIB - len(whole)), self.content(found.path))

    def test_qcow2_copy_is_whole_and_grows(self):
        image = os.path.join(self.scratch, "source.qcow2")
        whole = bytes(8 * MIB) + pattern(MIB) + bytes(7 * MIB)
        raw = self.file("content", whole)
        subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", raw, image], check=True)
        self.pool.upload("source", image)
        self.pool.refresh()
        for size in (16 * MIB, 48 * MIB):
            name = f"copy-{size}"
            self.pool.clone(VolumeSpec(name, "qcow2", size), self.pool, "source", "qcow2")
            found = self.pool.volume(name)
            self.assertEqual(("qcow2", size), (found.format, found.capacity))
            self.assertIsNone(found.backing)
            self.assertLess(found.allocation, 4 * MIB)
            subprocess.run(["qemu-img", "check", "-q", found.path], check=True)
            self.assertEqual(whole + bytes(size - len(whole)), self.content(found.path))

    def test_qcow2_copy_has_nothing_of_the_empty_volume_that_it_was(self):
        image = os.path.join(self.scratch, "source.qcow2")
        # Its disk has holes where an empty image of larger clusters has its tables.
        how = "preallocation=metadata,cluster_size=4096"
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", how, image, "4M"]
        subprocess.run(command, check=True)
        self.pool.upload("source", image)
        self.pool.refresh()
        self.pool.clone(VolumeSpec("copy", "qcow2", 4 * MIB), self.pool, "source", "qcow2")
        self.assertEqual(bytes(4 * MIB), self.content(self.path("copy")))

    def test_raw_copy_that_fails_leaves_nothing(self):
        self.pool.upload("source", self.file("source", pattern(MIB)))
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        spec = VolumeSpec("copy", "raw", MIB)
        with (
            mock.patch.object(os, "copy_file_range", side_effect=full),
            mock.patch.object(os, "sendfile", side_effect=full),
        ):
            error = self.assertRaises(PoolError, self.pool.clone, spec, self.pool, "source", "raw")
        self.assertIn("No space left", str(error))
        self.assertEqual(["source"], self.pool.names())

    def test_full_copy_refuses_content_that_claims_another_format(self):
        image = os.path.join(self.scratch, "claims.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True)
        with open(image, "rb") as file:
            header = file.read()
        self.pool.upload("source", self.file("source", header))
        # libvirt reads what was uploaded in its own time.
        self.pool.refresh()
        error = self.assertRaises(
            exception.InvalidDiskInfo,
            self.pool.clone,
            VolumeSpec("copy", "raw", MIB),
            self.pool,
            "source",
            "raw",
        )
        self.assertIn("qcow2", str(error))
        self.assertEqual(["source"], self.pool.names())

    def test_volume_grows_and_is_never_made_smaller(self):
        self.pool.create(VolumeSpec("one", "qcow2", 4 * MIB))
        self.pool.resize("one", 2 * MIB)
        self.assertEqual(4 * MIB, self.pool.volume("one").capacity)
        self.pool.resize("one", 8 * MIB)
        self.assertEqual(8 * MIB, qemu_info(self.path("one"))["virtual-size"])

    def test_upload_and_download_keep_every_byte_and_the_holes(self):
        whole = self.file("whole", pattern(MIB) + bytes(8 * MIB) + pattern(512))
        self.pool.upload("one", whole)
        back = os.path.join(self.scratch, "back")
        self.pool.download("one", back)
        with open(whole, "rb") as expected, open(back, "rb") as found:
            self.assertEqual(expected.read(), found.read())

    def test_download_of_a_sparse_volume_ends_with_its_hole(self):
        self.pool.create(VolumeSpec("one", "raw", 16 * MIB))
        back = os.path.join(self.scratch, "back")
        self.pool.download("one", back)
        self.assertEqual(16 * MIB, os.path.getsize(back))
        self.assertLess(os.stat(back).st_blocks * 512, MIB)

    def test_failed_upload_leaves_no_volume(self):
        path = self.file("short", pattern(MIB))
        with mock.patch("os.path.getsize", return_value=2**62):
            self.assertRaises(PoolError, self.pool.upload, "one", path)
        self.assertEqual([], self.pool.names())

    def test_deleting_twice_is_no_error(self):
        self.pool.create(VolumeSpec("one", "raw", MIB))
        self.pool.delete("one")
        self.pool.delete("one")
        self.assertEqual([], self.pool.names())
        self.assertEqual([], os.listdir(self.fixture.directory))

    def test_refresh_finds_what_came_by_another_way(self):
        with open(self.path("other"), "wb") as file:
            file.write(bytes(MIB))
        self.assertIsNone(self.pool.volume("other"))
        self.pool.refresh()
        self.assertEqual(MIB, self.pool.volume("other").capacity)

    def test_size_is_that_of_the_file_system(self):
        size = self.pool.info()
        there = os.statvfs(self.fixture.directory)
        self.assertEqual(there.f_frsize * there.f_blocks, size.capacity)
        self.assertGreater(size.available, 0)

    def test_path_of_a_volume_is_known_before_it_is_made(self):
        self.assertEqual(self.path("one"), self.pool.volume_path("one"))
        self.pool.create(VolumeSpec("one", "raw", MIB))
        self.assertEqual(self.path("one"), self.pool.volume_path("one"))

    def test_errors_name_the_pool_and_what_was_tried(self):
        self.fixture.pool.destroy()
        error = self.assertRaises(PoolError, self.pool.create, VolumeSpec("one", "raw", MIB))
        self.assertIn(f"create volume one in storage pool {DISKS_POOL}", str(error))
        error = self.assertRaises(PoolError, Pool(self.fixture.host, "none").info)
        self.assertIn("no storage pool none", str(error))


if __name__ == "__main__":
    unittest.main()
