# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Moving legacy instances into pools on a real libvirtd, killed at every step."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import unittest
from unittest import mock
from xml.etree import ElementTree

from nova import exception
from nova.tests import fixtures as nova_fixtures
from nova_polyvisor.libvirt import legacy, transition
from nova_polyvisor.libvirt.formats import FormatRecord
from nova_polyvisor.libvirt.legacy import Home, Journal
from nova_polyvisor.libvirt.pool import PoolError, VolumeSpec
from nova_polyvisor.libvirt.storage import Storage
from nova_polyvisor.libvirt.transition import Transition
from support import DISKS_POOL, LibvirtdHost
from test_legacy import FILE_DISK, LegacyTestBase
from test_pool import MIB, pattern, qemu_info

#: Formats of the test instance's disks by their names.
DISKS = {
    "disk": "qcow2",
    "disk.config": "raw",
    "disk.eph0": "raw",
    "disk.rescue": "qcow2",
    "disk.swap": "raw",
    "kernel": "raw",
    "ramdisk": "raw",
}
IN_DOMAIN = ("disk", "disk.config", "disk.eph0", "disk.swap")
SEED = int(os.environ.get("SEED", "1"))
#: How many lines of a move it is killed at, and how many of its last fifth.
POINTS = 100 if "POLYVISOR_TEST_FULL" in os.environ else 6


def refuse_link(_source, _target):
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


class TransitionTestBase(LegacyTestBase):
    def setUp(self):
        super().setUp()
        self.useFixture(nova_fixtures.PrivsepFixture())
        self.transition = Transition(self.pools.host, self.storage, self.legacy)
        self.fetch(self.base)

    def make_legacy(self):
        """Give the test's instance disks as nova's own image backends make them, and a domain."""
        os.makedirs(self.instance_directory, exist_ok=True)
        for name, image_format in DISKS.items():
            if image_format == "raw":
                self.file(name, name.encode() * 1000 + bytes(MIB))
            else:
                backing = ["-b", self.base, "-F", "raw"] if name == "disk" else []
                subprocess.run(
                    ["qemu-img", "create", "-q", "-f", "qcow2", *backing, self.path(name), "2M"],
                    check=True,
                )
        boot = f"<kernel>{self.path('kernel')}</kernel><initrd>{self.path('ramdisk')}</initrd>"
        disks = "".join(
            FILE_DISK.format(format=DISKS[name], path=self.path(name), target=f"vd{letter}")
            for name, letter in zip(IN_DOMAIN, "abcd", strict=True)
        )
        self.content = {name: self.bytes_of(self.path(name)) for name in DISKS}
        return self.define(disks, boot)

    def bytes_of(self, path):
        with open(path, "rb") as file:
            return file.read()

    def volume_file(self, name):
        return os.path.join(self.pools.directory, f"{self.instance.uuid}_{name}")

    def domain_disks(self):
        """Return what the domain says its disks are: (type, file or pool/volume)."""
        xml = self.legacy.domain(self.instance).XMLDesc()
        root = ElementTree.fromstring(xml)
        found = []
        for disk in root.findall("devices/disk"):
            source = disk.find("source")
            place = source.get("file") or f"{source.get('pool')}/{source.get('volume')}"
            found.append((disk.get("type"), place))
        return found, [root.findtext("os/kernel"), root.findtext("os/initrd")]

    def assert_legacy(self):
        disks, boot = self.domain_disks()
        self.assertEqual([("file", self.path(name)) for name in IN_DOMAIN], disks)
        self.assertEqual([self.path("kernel"), self.path("ramdisk")], boot)
        for name, content in self.content.items():
            self.assertEqual(content, self.bytes_of(self.path(name)), name)

    def assert_moved(self):
        uuid = self.instance.uuid
        disks, boot = self.domain_disks()
        self.assertEqual([("volume", f"{DISKS_POOL}/{uuid}_{n}") for n in IN_DOMAIN], disks)
        self.assertEqual([self.volume_file("kernel"), self.volume_file("ramdisk")], boot)
        for name, content in self.content.items():
            self.assertEqual(content, self.bytes_of(self.volume_file(name)), name)
            path = self.volume_file(name)
            self.assertEqual(DISKS[name], FormatRecord(self.instance).get(path))

    def assert_complete(self):
        self.assert_moved()
        self.assertEqual({}, legacy.disk_files(self.instance))
        self.assertFalse(Journal(self.instance).exists())
        volumes = sorted(volume.name for volume in self.storage.volumes_of(self.instance.uuid))
        self.assertEqual([f"{self.instance.uuid}_{name}" for name in sorted(DISKS)], volumes)
        self.assertEqual(volumes, sorted(os.listdir(self.pools.directory)))


class MoveTest(TransitionTestBase):
    def test_files_of_one_file_system_get_names_in_the_pool(self):
        self.make_legacy()
        numbers = {name: os.stat(self.path(name)).st_ino for name in DISKS}
        self.assertTrue(self.transition.is_due(self.instance))
        self.transition.move(self.instance)
        self.assert_complete()
        for name, number in numbers.items():
            found = os.stat(self.volume_file(name))
            self.assertEqual(
                (number, 1, 0o600), (found.st_ino, found.st_nlink, found.st_mode & 0o777)
            )
        info = qemu_info(self.volume_file("disk"))
        self.assertEqual(self.base, info["backing-filename"])
        self.assertEqual(self.base, self.storage.disks.volume(f"{self.instance.uuid}_disk").backing)
        self.assertEqual(Home.POOL, self.legacy.home(self.instance))
        self.assertFalse(self.transition.is_due(self.instance))
        self.transition.move(self.instance)
        self.assert_complete()

    def test_moved_instance_starts(self):
        self.make_legacy()
        self.transition.move(self.instance)
        # There is nothing to boot from in what stands for the kernel.
        domain = self.legacy.domain(self.instance)
        root = ElementTree.fromstring(domain.XMLDesc())
        system = root.find("os")
        for each in ("kernel", "initrd"):
            system.remove(system.find(each))
        domain = self.pools.host.get_connection().defineXML(
            ElementTree.tostring(root, encoding="unicode")
        )
        domain.create()
        self.assertTrue(domain.isActive())

    def test_without_hard_links_the_bytes_are_copied_and_holes_stay_holes(self):
        self.make_legacy()
        with open(self.path("disk.swap"), "r+b") as file:
            file.truncate(512 * MIB)
        self.content.pop("disk.swap")
        with mock.patch.object(transition.privileged, "link", refuse_link):
            self.transition.move(self.instance)
        found = os.stat(self.volume_file("disk.swap"))
        self.assertEqual(512 * MIB, found.st_size)
        self.assertLess(found.st_blocks * 512, 8 * MIB)
        self.content["disk.swap"] = self.bytes_of(self.volume_file("disk.swap"))
        self.assert_complete()
        info = qemu_info(self.volume_file("disk"))
        self.assertEqual(("qcow2", self.base), (info["format"], info["backing-filename"]))

    def test_disk_that_pretends_to_another_format_keeps_its_own(self):
        domain = self.make_legacy()
        shutil.copy(self.path("disk"), self.path("disk.eph0"))
        self.content["disk.eph0"] = self.content["disk"]
        self.assertFalse(domain.isActive())
        for link in (refuse_link, os.link):
            with mock.patch.object(transition.privileged, "link", link):
                self.transition.move(self.instance)
            self.assert_complete()
            self.assertEqual("raw", self.disk("disk.eph0").driver_format)

    def test_instance_without_a_domain_is_moved(self):
        domain = self.make_legacy()
        xml = domain.XMLDesc()
        domain.undefine()
        self.transition.move(self.instance)
        self.assertEqual(Home.POOL, self.legacy.home(self.instance))
        self.assertEqual({}, legacy.disk_files(self.instance))
        for name, content in self.content.items():
            self.assertEqual(content, self.bytes_of(self.volume_file(name)))
        self.assertIn(self.path(), xml)

    def test_disks_go_to_the_pools_of_their_kinds(self):
        scratch = self.pools.another_pool("scratch")
        self.flags(pools={"disk.swap": "scratch"}, group="libvirt_storage")
        self.transition._storage = self.storage = Storage(self.pools.host)
        self.make_legacy()
        self.transition.move(self.instance)
        self.assertEqual([f"{self.instance.uuid}_disk.swap"], os.listdir(scratch))
        places = [place for _kind, place in self.domain_disks()[0]]
        self.assertIn(f"scratch/{self.instance.uuid}_disk.swap", places)

    def test_logical_volume_is_copied_by_novas_own_backend_and_removed(self):
        uuid = self.instance.uuid
        device = f"/dev/vg/{uuid}_disk"
        self.define(FILE_DISK.format(format="raw", path=device, target="vda"))
        xml = self.legacy.domain(self.instance).XMLDesc().replace("type='file'", "type='block'")
        self.pools.host.get_connection().defineXML(xml.replace("file=", "dev="))

        def extract(target, out_format):
            self.assertEqual("raw", out_format)
            with open(target, "wb") as file:
                file.write(pattern(MIB))

        with (
            mock.patch.object(self.legacy.backend, "by_name") as by_name,
            mock.patch.object(transition.lvm, "remove_volumes") as remove,
            mock.patch.object(
                transition.os.path, "exists", lambda path: os.access(path, 0) or path == device
            ),
        ):
            by_name.return_value.snapshot_extract = extract
            self.transition.move(self.instance)
        remove.assert_called_once_with([device])
        self.assertEqual(pattern(MIB), self.bytes_of(self.volume_file("disk")))
        self.assertEqual(["disk.info"], os.listdir(self.instance_directory))
        self.assertEqual([("volume", f"{DISKS_POOL}/{uuid}_disk")], self.domain_disks()[0])


class RefusalTest(TransitionTestBase):
    """What cannot be moved stays as it is, and nothing is left in the pool."""

    def refused(self, error, text):
        self.assertIn(text, str(self.assertRaises(error, self.transition.move, self.instance)))
        self.assertEqual([], os.listdir(self.pools.directory))
        self.assertFalse(Journal(self.instance).exists())

    def test_running_instance_is_not_moved(self):
        self.make_legacy()
        with mock.patch.object(self.legacy, "domain") as domain:
            domain.return_value.isActive.return_value = True
            self.refused(exception.InternalError, "running")
        self.assert_legacy()

    def test_rescued_instance_is_not_moved(self):
        self.make_legacy()
        self.file("unrescue.xml")
        self.assertFalse(self.transition.is_due(self.instance))
        self.refused(exception.InternalError, "rescued")
        self.assert_legacy()

    def test_encrypted_disks_are_not_moved(self):
        self.make_legacy()
        self.instance.ephemeral_key_uuid = self.instance.uuid
        self.refused(exception.InternalError, "dm-crypt")
        self.assert_legacy()

    def test_disks_that_qemu_encrypts_are_not_moved(self):
        xml = self.make_legacy().XMLDesc()
        secret = f"<secret type='passphrase' uuid='{self.instance.uuid}'/>"
        source = f"<source file='{self.path()}'>"
        self.assertIn(source[:-1], xml)
        encrypted = f"{source}<encryption format='luks'>{secret}</encryption></source>"
        self.pools.host.get_connection().defineXML(xml.replace(f"{source[:-1]}/>", encrypted))
        self.refused(exception.InternalError, "encrypted")

    def test_volume_that_no_move_has_made_is_not_replaced(self):
        self.make_legacy()
        name = f"{self.instance.uuid}_disk"
        self.storage.disks.create(VolumeSpec(name, "raw", MIB))
        error = self.assertRaises(PoolError, self.transition.move, self.instance)
        self.assertIn(name, str(error))
        self.assertEqual([name], self.storage.disks.names())
        self.assert_legacy()

    def test_inactive_pool_is_an_error(self):
        self.make_legacy()
        self.pools.pool.destroy()
        self.refused(PoolError, "not active")
        self.assert_legacy()

    def test_domain_that_libvirt_refuses_leaves_nothing(self):
        self.make_legacy()
        with mock.patch.object(transition, "_name_volume", lambda disk, *_names: disk.clear()):
            self.refused(PoolError, "Cannot define")
        self.assert_legacy()

    def test_upload_that_fails_leaves_nothing(self):
        self.make_legacy()
        failing = mock.patch.object(
            self.storage.disks, "upload", side_effect=PoolError(reason="full")
        )
        with failing, mock.patch.object(transition.privileged, "link", refuse_link):
            self.refused(PoolError, "full")
        self.assert_legacy()

    def test_nothing_is_due_while_the_pools_are_not_enabled_or_nobody_asks(self):
        self.make_legacy()
        self.assertFalse(self.transition.is_due(self.instance, asked_for=False))
        self.flags(enabled=False, group="libvirt_storage")
        self.assertFalse(self.transition.is_due(self.instance))

    def test_interrupted_move_that_cannot_be_undone_now_is_left_to_later(self):
        self.make_legacy()
        Journal(self.instance).write({})
        self.pools.pool.destroy()
        self.transition.recover(self.instance)
        self.assertTrue(Journal(self.instance).exists())
        self.pools.pool.create(0)
        self.transition.recover(self.instance)
        self.assertFalse(Journal(self.instance).exists())
        self.assert_legacy()


class KillTest(TransitionTestBase):
    """A move that is killed with SIGKILL, at lines of its code that a seed chooses."""

    def kill_at(self, number, link):
        """Move in a process of its own that kills itself before the line of a number.

        :returns: whether the move ended before that line
        """
        child = os.fork()
        if child:
            status = os.waitpid(child, 0)[1]
            self.assertIn(status, (0, signal.SIGKILL))
            return status == 0
        passed = 0
        files = {module.__file__ for module in (transition, legacy)}

        def trace(frame, event, _argument):
            nonlocal passed
            if frame.f_code.co_filename not in files:
                return None
            if event == "line":
                passed += 1
                if passed == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        ended = False
        try:
            host = LibvirtdHost(self.pools.daemon.uri)
            storage = Storage(host)
            move = Transition(host, storage, legacy.LegacyInstances(host, storage)).move
            with mock.patch.object(transition.privileged, "link", link):
                sys.settrace(trace)
                move(self.instance)
                sys.settrace(None)
            ended = True
        finally:
            os._exit(0 if ended else 1)

    def lines_of_a_move(self, link):
        """Return how many lines a move runs through."""
        count = 0
        files = {module.__file__ for module in (transition, legacy)}

        def trace(frame, event, _argument):
            nonlocal count
            if frame.f_code.co_filename not in files:
                return None
            count += event == "line"
            return trace

        self.make_legacy()
        before = sys.gettrace()
        with mock.patch.object(transition.privileged, "link", link):
            sys.settrace(trace)
            try:
                self.transition.move(self.instance)
            finally:
                sys.settrace(before)
        self.assert_complete()
        self.start_over()
        return count

    def start_over(self):
        self.undefine()
        self.storage.disks.refresh()
        self.storage.delete(self.instance.uuid)
        shutil.rmtree(self.instance_directory)

    def check(self, link, points):
        lines = self.lines_of_a_move(link)
        chance = random.Random(SEED)
        # What follows the definition of the domain is short.
        chosen = {chance.randint(1, lines) for _each in range(points)}
        chosen |= {chance.randint(lines * 4 // 5, lines) for _each in range(points)}
        outcomes = {Home.NOVA: 0, Home.POOL: 0}
        for number in sorted(chosen):
            with self.subTest(line=number, of=lines, seed=SEED):
                self.make_legacy()
                self.assertFalse(self.kill_at(number, link))
                home = self.legacy.home(self.instance)
                outcomes[home] += 1
                # The instance can be started on what the domain names now.
                self.storage.disks.refresh()
                (self.assert_legacy if home is Home.NOVA else self.assert_moved)()
                if number % 2:
                    # nova-compute starts anew.
                    self.transition.recover(self.instance)
                    self.assertEqual(home, self.legacy.home(self.instance))
                    self.assertFalse(Journal(self.instance).exists())
                    if home is Home.NOVA:
                        self.assert_legacy()
                        self.assertEqual([], os.listdir(self.pools.directory))
                    else:
                        self.assert_complete()
                elif home is Home.NOVA:
                    # The guest has gone on with its old disk.
                    self.content["disk.swap"] = self.bytes_of(self.file("disk.swap", pattern(MIB)))
                self.transition.move(self.instance)
                self.assert_complete()
                self.start_over()
        print(
            f"\nkilled at {len(chosen)} of {lines} lines (seed {SEED}): "
            f"{outcomes[Home.NOVA]} on the old disks, {outcomes[Home.POOL]} on volumes",
            file=sys.stderr,
        )
        self.assertTrue(all(outcomes.values()))

    def test_killed_move_by_link_leaves_an_instance_that_starts(self):
        self.check(os.link, POINTS)

    def test_killed_move_by_copy_leaves_an_instance_that_starts(self):
        self.check(refuse_link, POINTS)


if __name__ == "__main__":
    unittest.main()
