# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""The driver under nova's own API, conductor, scheduler and compute, in one process.

Domains and volumes are real: QEMU runs the guests by emulation, on a libvirtd of the tests' own.
Only Glance and the network are nova's stand-ins; the guests have no operating system.
"""

import os
import threading
import unittest
from importlib import metadata
from types import SimpleNamespace
from unittest import mock
from xml.etree import ElementTree

import fixtures
from nova.tests.functional import integrated_helpers

# Nova's tests let nobody import libvirt once a test runs.
from nova.virt.polyvisor.libvirt import StoragePoolDriver
from nova_polyvisor.libvirt.pool import Pool, PoolError, PoolInfo, VolumeInfo
from support import DISKS_POOL, StorageFixture
from test_pool import MIB, pattern, qemu_info


def fetch(target, **_options):
    """Stand for the download of an image of 1 MiB."""
    with open(target, "wb") as file:
        file.write(pattern(MIB))


class ServerBase(integrated_helpers._IntegratedTestBase):
    """Servers on a host whose disks pool is what ``make_pools`` makes."""

    ADMIN_API = True
    REQUIRES_LOCKING = True
    CAST_AS_CALL = False
    microversion = "latest"

    def make_pools(self):
        return StorageFixture()

    def _setup_services(self):
        self.pools = self.useFixture(self.make_pools())
        self.pools.pool.create(0)
        (paste,) = (file for file in metadata.files("nova") if file.name == "api-paste.ini")
        self.flags(api_paste_config=str(paste.locate()), group="wsgi")
        self.flags(
            compute_driver="polyvisor.libvirt.StoragePoolDriver",
            instances_path=self.useFixture(fixtures.TempDir()).path,
            shutdown_timeout=0,
            thread_pool_statistic_period=-1,
        )
        self.flags(
            virt_type="qemu",
            cpu_mode="none",
            connection_uri=self.pools.daemon.uri,
            snapshots_directory=self.useFixture(fixtures.TempDir()).path,
            group="libvirt",
        )
        for name in ("fetch_image", "fetch_raw_image"):
            self.stub_out(f"nova.virt.libvirt.utils.{name}", fetch)
        self.stub_out("nova.compute.utils.get_machine_ips", list)
        # Nova's tests let no thread wait for libvirt's events.
        self.stub_out("nova.virt.libvirt.host.Host._init_events", lambda host: None)
        super()._setup_services()
        self.addCleanup(self.remove_domains)

    def _wait_for_server_parameter(self, server, expected_params, max_retries=10, *args, **options):
        """Wait longer than nova does, twice a second: these guests are real."""
        return super()._wait_for_server_parameter(
            server, expected_params, max(max_retries, 120), *args, **options
        )

    def _resize_server(self, server, flavor_id):
        """Wait for the state: nova waits a few seconds for a notification before."""
        self.api.post_server_action(server["id"], {"resize": {"flavorRef": flavor_id}})
        return self._wait_for_state_change(server, "VERIFY_RESIZE")

    def remove_domains(self):
        for domain in self.pools.host.get_connection().listAllDomains():
            if domain.isActive():
                domain.destroy()
            domain.undefine()

    def domain(self, server):
        return self.pools.host.get_connection().lookupByUUIDString(server["id"])

    def volumes(self):
        return sorted(self.pools.pool.listVolumes())

    def boot(self, **flavor):
        small = self._create_flavor(memory_mb=64, vcpu=1, **flavor)
        return self._create_server(flavor_id=small, networks="none")


class ServerTest(ServerBase):
    def test_life_of_a_server(self):
        self.assertIsInstance(self.compute.driver, StoragePoolDriver)
        wanted = {**self._build_server(networks="none"), "config_drive": True}
        server = self._wait_for_state_change(self.api.post_server({"server": wanted}), "ACTIVE")
        names = [f"{server['id']}_{disk}" for disk in ("disk", "disk.config")]
        self.assertEqual(names, self.volumes())
        domain = ElementTree.fromstring(self.domain(server).XMLDesc())
        found = {
            (disk.get("type"), disk.find("source").get("pool"), disk.find("source").get("volume"))
            for disk in domain.findall("devices/disk")
        }
        self.assertEqual({("volume", DISKS_POOL, name) for name in names}, found)
        root = qemu_info(os.path.join(self.pools.directory, names[0]))
        self.assertIn("/_base/", root["backing-filename"])

        self._stop_server(server)
        self._start_server(server)
        self._reboot_server(server, hard=True)
        self.assertTrue(self.domain(server).isActive())
        self.assertEqual(names, self.volumes())
        self._delete_server(server)
        self.assertEqual([], self.volumes())
        self.assertEqual([], self.pools.host.get_connection().listAllDomains())

    def disk_sizes(self, server):
        """Return the sizes of a server's disks in GiB; only the root disk has a backing file."""
        sizes = {}
        for name in self.volumes():
            uuid, disk = name.split("_", 1)
            info = qemu_info(os.path.join(self.pools.directory, name))
            self.assertEqual(server["id"], uuid)
            if disk in ("disk", "disk.before"):
                self.assertIn("/_base/", info["backing-filename"])
            else:
                self.assertNotIn("backing-filename", info)
            sizes[disk] = info["virtual-size"] / 1024**3
        return sizes

    def test_resize_on_the_same_host(self):
        self.flags(allow_resize_to_same_host=True)
        server = self.boot(disk=1, ephemeral=1, swap=64)
        before = {"disk": 1, "disk.eph0": 1, "disk.swap": 1 / 16}
        self.assertEqual(before, self.disk_sizes(server))
        large = self._create_flavor(memory_mb=96, vcpu=1, disk=2, ephemeral=1, swap=32)
        for finish in (self._revert_resize, self._confirm_resize):
            self._resize_server(server, large)
            self.assertTrue(self.domain(server).isActive())
            grown = {"disk": 2, "disk.eph0": 1, "disk.swap": 1 / 32}
            saved = {f"{disk}.before": size for disk, size in before.items()}
            self.assertEqual({**grown, **saved}, self.disk_sizes(server))
            finish(server)
            self.assertTrue(self.domain(server).isActive())
            left = grown if finish == self._confirm_resize else before
            self.assertEqual(left, self.disk_sizes(server))
        self._delete_server(server)
        self.assertEqual([], self.volumes())

    def test_resize_that_fails_leaves_the_server_running(self):
        self.flags(allow_resize_to_same_host=True)
        server = self.boot(disk=1, ephemeral=0, swap=0)
        large = self._create_flavor(memory_mb=96, vcpu=1, disk=2, ephemeral=0, swap=0)
        full = PoolError(reason="the pool is full")
        with mock.patch.object(Pool, "send", side_effect=full) as send:
            self.api.post_server_action(server["id"], {"resize": {"flavorRef": large}})
            self._wait_for_server_parameter(
                server, {"OS-EXT-STS:task_state": None, "status": "ACTIVE"}
            )
        send.assert_called_once()
        self.assertTrue(self.domain(server).isActive())
        self.assertEqual({"disk": 1}, self.disk_sizes(server))


class LostLibvirtTest(ServerBase):
    def test_server_that_libvirtd_dies_under_leaves_no_volume(self):
        """Nova asks the driver once to clean up, while libvirtd is not back yet."""
        create = StoragePoolDriver._create_guest_with_network

        def die_before(*args, **options):
            self.pools.daemon.kill()
            back = threading.Timer(2.0, self.pools.daemon.start)
            back.start()
            self.addCleanup(back.join)
            return create(*args, **options)

        with mock.patch.object(StoragePoolDriver, "_create_guest_with_network", die_before):
            small = self._create_flavor(memory_mb=64, vcpu=1)
            server = self._create_server(flavor_id=small, networks="none", expected_state="ERROR")
        self.pools.host.connect()
        self.pools.pool = self.pools.host.get_connection().storagePoolLookupByName(DISKS_POOL)
        self.assertEqual([], self.volumes())
        self._delete_server(server)


class WithoutHostTest(unittest.TestCase):
    """What the driver answers without asking libvirt."""

    def setUp(self):
        self.driver = StoragePoolDriver.__new__(StoragePoolDriver)

    def test_disk_space_is_that_of_the_pool_in_gib(self):
        size = PoolInfo(capacity=8 << 30, allocation=2 << 30, available=5 << 30)
        self.driver._storage = SimpleNamespace(size=lambda: size)
        self.assertEqual({"total": 8, "used": 2, "free": 5}, self.driver._get_local_gb_info())

    def test_disk_can_grow_by_what_is_not_allocated_yet(self):
        volume = VolumeInfo("v", "/v", "qcow2", capacity=10, allocation=3, backing=None)
        self.driver._storage = SimpleNamespace(find=lambda pool, name: volume)
        disk = SimpleNamespace(source_pool="p", source_volume="v", driver_format="qcow2")
        (info,) = self.driver._volume_disk_info([disk])
        self.assertEqual(7, info["over_committed_disk_size"])


if __name__ == "__main__":
    unittest.main()
