# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Volumes sent to other pools, and volumes whose place a larger one takes."""

import os
import subprocess
import unittest
from unittest import mock

import libvirt
from nova_polyvisor.libvirt.pool import Backing, Pool, PoolError, VolumeSpec
from test_pool import MIB, PoolCase, pattern


class SendTest(PoolCase):
    """Volumes sent to another pool as the bytes that they are."""

    def setUp(self):
        super().setUp()
        directory = os.path.join(self.fixture.daemon.directory, "other")
        os.mkdir(directory)
        self.other = Pool(self.fixture.host, "other")
        self.other.define(directory)
        base = self.file("base", pattern(MIB))
        self.pool.create(VolumeSpec("one", "qcow2", 64 * MIB, Backing(base, "raw")))
        write = ["qemu-io", "-f", "qcow2", "-c", "write -P 42 32M 1M", self.path("one")]
        subprocess.run(write, check=True, capture_output=True)

    def test_content_format_size_and_backing_file_go_along(self):
        self.pool.send("one", self.other, "two")
        sent, kept = self.other.volume("two"), self.pool.volume("one")
        self.assertEqual((kept.format, kept.capacity), (sent.format, sent.capacity))
        self.assertEqual(kept.backing, sent.backing)
        self.assertEqual(self.content(kept.path), self.content(sent.path))

    def test_holes_stay_holes(self):
        self.pool.create(VolumeSpec("sparse", "raw", 512 * MIB))
        self.pool.send("sparse", self.other)
        self.assertEqual(512 * MIB, self.other.volume("sparse").capacity)
        self.assertLess(self.other.volume("sparse").allocation, MIB)

    def test_volume_that_exists_is_left_alone(self):
        self.other.create(VolumeSpec("one", "raw", 3 * MIB))
        self.assertRaises(PoolError, self.pool.send, "one", self.other)
        self.assertEqual(3 * MIB, self.other.volume("one").capacity)

    def test_failure_half_way_leaves_nothing(self):
        broken = mock.patch(
            "nova_polyvisor.libvirt.streams.Sink.data", side_effect=libvirt.libvirtError("gone")
        )
        with broken:
            self.assertRaises(PoolError, self.pool.send, "one", self.other)
        self.assertEqual([], self.other.names())


@unittest.skipUnless(os.geteuid() == 0, "only root can mount a file system")
class FullPoolTest(PoolCase):
    """A pool without a free block, of which libvirt does not tell at the end of a stream."""

    def setUp(self):
        super().setUp()
        self.pool.create(VolumeSpec("one", "qcow2", 64 * MIB))
        self.other = Pool(self.fixture.host, "full")
        directory = os.path.join(self.fixture.daemon.directory, "full")
        os.mkdir(directory)
        self.fixture.daemon.mount(directory, 4096)
        self.fixture.daemon.fill(directory)
        self.other.define(directory)

    def test_volume_of_any_size_is_refused_and_nothing_is_left(self):
        for size in (1, 100, 60_000, 300_000, 3_000_000):
            content = pattern(size)[:size]
            for end in (b"", bytes(size)):
                self.assertRaises(
                    PoolError,
                    self.other.upload,
                    "two",
                    self.file("content", content + end),
                )
                self.assertEqual(["filler"], self.other.names())

    def test_volume_that_is_sent_is_refused_and_nothing_is_left(self):
        self.assertRaises(PoolError, self.pool.send, "one", self.other)
        self.assertEqual(["filler"], self.other.names())


class ReplaceTest(PoolCase):
    """Pools whose volumes libvirt does not resize, as logical ones: here a directory says so."""

    def setUp(self):
        super().setUp()
        self.pool.upload("one", self.file("content", pattern(MIB)))
        refusal = libvirt.libvirtError("no")
        refusal.err = (libvirt.VIR_ERR_NO_SUPPORT, 0, "no", 0, "", None, None, 0, 0)
        resize = mock.patch.object(libvirt.virStorageVol, "resize", side_effect=refusal)
        resize.start()
        self.addCleanup(resize.stop)

    def assert_grown(self):
        self.assertEqual(["one"], self.pool.names())
        with open(self.path("one"), "rb") as file:
            self.assertEqual(pattern(MIB) + bytes(7 * MIB), file.read())

    def test_larger_volume_takes_the_place(self):
        self.resize()
        self.assert_grown()

    def resize(self):
        # Libvirt makes a raw copy as large as what it is a copy of, and resizes it afterwards; on
        # a logical volume it makes the copy as large as it is asked for.
        def clone(pool, spec, source, source_name, source_format):
            with open(source.volume(source_name).path, "rb") as file:
                content = file.read()
            path = self.file("larger", content.ljust(spec.capacity, b"\0"))
            pool.upload(spec.name, path)

        with mock.patch.object(Pool, "clone", clone):
            self.pool.resize("one", 8 * MIB)

    def test_crash_in_any_step_is_finished_or_undone(self):
        for step in ("clone", "delete", "send"):
            with self.subTest(step):
                self.pool.delete("one")
                self.pool.upload("one", self.file("content", pattern(MIB)))
                self.crash_in(step)
                self.pool.finish_resizes("one")
                if self.pool.volume("one").capacity < 8 * MIB:
                    self.assertEqual(["one"], self.pool.names())
                    self.resize()
                self.assert_grown()

    def crash_in(self, step):
        """Leave what a crash in a step leaves: what the step makes is empty."""
        if step == "clone":
            self.pool.create(VolumeSpec("one.larger", "raw", 8 * MIB))
            return
        self.pool.upload("one.larger", self.file("larger", pattern(MIB).ljust(8 * MIB, b"\0")))
        self.pool.delete("one")
        if step == "send":
            self.pool.create(VolumeSpec("one", "raw", 8 * MIB))


if __name__ == "__main__":
    unittest.main()
