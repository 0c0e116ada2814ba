# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""What is installed, that nova loads it, and which nova is refused."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from unittest import mock

from nova_polyvisor import compat

SOURCE = pathlib.Path(__file__).parents[2] / "roles/nova_driver/files/nova-polyvisor"
DRIVER = "polyvisor.libvirt.StoragePoolDriver"
BUILD = "import setuptools.build_meta as b, sys; print(b.build_%s(sys.argv[1]))"


def build(source: pathlib.Path, kind: str, target: pathlib.Path) -> pathlib.Path:
    """Build a distribution with the setuptools beside this interpreter; nothing is downloaded."""
    command = [sys.executable, "-W", "ignore", "-c", BUILD % kind, str(target)]
    done = subprocess.run(command, cwd=source, check=True, capture_output=True, text=True)
    return target / done.stdout.strip().splitlines()[-1]


class WheelTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.source = self.scratch / "source"
        ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
        shutil.copytree(SOURCE, self.source, ignore=ignored)

    def names(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            return set(archive.namelist())

    def assert_complete(self, names):
        for package, directory in (
            ("nova_polyvisor", self.source / "src/nova_polyvisor"),
            ("nova/virt/polyvisor", self.source / "loader/polyvisor"),
        ):
            wanted = {
                f"{package}/{path.relative_to(directory)}" for path in directory.rglob("*.py")
            }
            self.assertLessEqual(wanted, names)
        self.assertIn("nova_polyvisor/py.typed", names)

    def test_wheel_puts_the_loader_into_nova_and_touches_no_file_of_novas(self):
        names = self.names(build(self.source, "wheel", self.scratch))
        self.assert_complete(names)
        novas = {name for name in names if name.startswith("nova/")}
        self.assertTrue(all(name.startswith("nova/virt/polyvisor/") for name in novas), novas)
        self.assertNotIn("nova/__init__.py", names)
        self.assertNotIn("nova/virt/__init__.py", names)

    def test_wheel_from_the_source_distribution_is_the_same(self):
        direct = self.names(build(self.source, "wheel", self.scratch))
        shutil.unpack_archive(build(self.source, "sdist", self.scratch), self.scratch / "unpacked")
        (unpacked,) = (self.scratch / "unpacked").iterdir()
        self.assertEqual(direct, self.names(build(unpacked, "wheel", self.scratch)))


class CheckTest(unittest.TestCase):
    def check(self, *drivers):
        command = [sys.executable, "-m", "nova_polyvisor.check", *drivers]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def test_driver_loads_in_this_nova(self):
        status, (report,) = self.check(DRIVER)
        self.assertEqual((0, True, None), (status, report["loads"], report["error"]))
        self.assertEqual("nova_polyvisor.libvirt.driver.StoragePoolDriver", report["class"])
        self.assertEqual((compat.nova_version(), "1.0.0"), (report["nova"], report["plugin"]))

    def test_one_that_does_not_load_is_told_and_the_others_are_still_tried(self):
        status, (missing, nameless, alien, ours) = self.check(
            "polyvisor.none.Driver", "Driver", "images.QemuImgInfo", DRIVER
        )
        self.assertEqual(1, status)
        self.assertIn("nova.virt.polyvisor.none", missing["error"])
        self.assertIn("<module>.<class>", nameless["error"])
        self.assertFalse(alien["loads"])
        self.assertTrue(ours["loads"])

    def test_naming_none_is_a_usage_error(self):
        self.assertEqual((2, []), self.check())


class SupportedNovaTest(unittest.TestCase):
    def refused(self, version):
        with mock.patch("importlib.metadata.version", return_value=version):
            try:
                compat.require_supported_nova()
            except compat.UnsupportedNovaError as error:
                return str(error)
        return None

    def test_supported_releases_pass(self):
        for version in ("33.0.2", "34.0.0", "34.1.0.dev12"):
            self.assertIsNone(self.refused(version), version)

    def test_older_and_newer_releases_are_refused_by_name(self):
        for version in ("32.1.0", "35.0.0", "25.3.0", "2026.2"):
            self.assertIn(f"this is nova {version}", self.refused(version) or "")


if __name__ == "__main__":
    unittest.main()
