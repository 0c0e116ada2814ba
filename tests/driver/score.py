# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Score compute drivers by nova's own generic driver tests.

``python tests/driver/score.py`` prints ``<compute_driver> <passed>/<total>`` for nova's own
libvirt driver and for each driver of the plugin. Nova's tests let a driver raise
NotImplementedError; here that is a failure, and so is a test that is skipped. The exit status is 1
if a driver of the plugin passes fewer tests than nova's. ``--verbose`` names the tests that fail.
"""

import argparse
import io
import logging
import sys
import unittest

from nova.tests.unit.virt import test_virt_drivers
from nova.virt.libvirt import imagebackend
from support import StorageFixture

NOVAS_OWN = "libvirt.LibvirtDriver"
OURS = ("polyvisor.libvirt.StoragePoolDriver",)


class _LibvirtCase(test_virt_drivers.LibvirtConnTestCase):
    """Nova's libvirt driver, with what nova's own test puts around it."""

    compute_driver = NOVAS_OWN

    @property
    def driver_module(self) -> str:
        return f"nova.virt.{self.compute_driver}"

    @driver_module.setter
    def driver_module(self, _novas_own: str) -> None:
        """Nova's test sets its own driver, and is overruled."""


class _StoragePoolCase(_LibvirtCase):
    """The storage pool driver: fake domains like nova's own driver has, but real pools.

    Nova's fixture stands for the disks of both drivers.
    """

    def setUp(self) -> None:
        pools = self.useFixture(StorageFixture())
        pools.pool.create(0)
        self.stub_out("nova_polyvisor.libvirt.driver.Storage", pools.storage)
        self.stub_out(
            "nova_polyvisor.libvirt.driver.StorageBackend",
            lambda _storage, _legacy: imagebackend.Backend(use_cow=True),
        )
        super().setUp()
        # What stands for disks looks like files of nova's own image backends.
        self.flags(transition=False, group="libvirt_storage")


def _case(compute_driver: str) -> type[unittest.TestCase]:
    """Return nova's generic tests for a driver, the catch of NotImplementedError taken off."""
    base = _LibvirtCase if compute_driver == NOVAS_OWN else _StoragePoolCase
    generic = test_virt_drivers._VirtDriverTestCase
    tests = {}
    for name in dir(generic):
        if name.startswith("test_"):
            test = getattr(generic, name)
            tests[name] = getattr(test, "__wrapped__", test)
    return type(f"Score {compute_driver}", (base,), {"compute_driver": compute_driver, **tests})


def score(compute_driver: str) -> tuple[int, int, list[str]]:
    """Run nova's tests against a driver.

    :returns: how many pass, how many there are, and the reasons of those that do not
    """
    case = _case(compute_driver)
    generic = test_virt_drivers._VirtDriverTestCase
    suite = unittest.TestSuite(case(name) for name in dir(generic) if name.startswith("test_"))
    result = unittest.TextTestRunner(stream=io.StringIO()).run(suite)
    bad = [
        f"{test.id().rpartition('.')[2]}: {trace.strip().splitlines()[-1]}"
        for test, trace in [*result.failures, *result.errors, *result.skipped]
    ]
    return result.testsRun - len(bad), result.testsRun, sorted(bad)


def main(arguments: list[str]) -> int:
    """Print the scores; the return value is the exit status."""
    parser = argparse.ArgumentParser(description="Score compute drivers by nova's driver tests")
    parser.add_argument("--verbose", action="store_true", help="name the tests that fail")
    verbose = parser.parse_args(arguments).verbose
    logging.disable(logging.CRITICAL)
    scores = {}
    for compute_driver in (NOVAS_OWN, *OURS):
        passed, total, bad = score(compute_driver)
        scores[compute_driver] = passed
        print(f"{compute_driver} {passed}/{total}", flush=True)
        if verbose:
            for line in bad:
                print(f"    {line}")
    return 0 if all(scores[ours] >= scores[NOVAS_OWN] for ours in OURS) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
