# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""The life of servers under nova's own API, for disks pools of whichever type."""

import os
import shutil
import subprocess
from unittest import mock
from xml.etree import ElementTree

from nova.tests import fixtures as nova_fixtures
from nova_polyvisor.libvirt.pool import Pool
from support import DISKS_POOL
from test_driver import ServerBase
from test_pool import MIB, pattern


class PoolServerCase(ServerBase):
    """Servers whose disks are in the pool that ``make_pools`` makes."""

    #: Whether a root disk lies over a volume with the image.
    clones = True
    #: Size of a config drive in MiB: that of the smallest volume, if that is larger.
    config_drive_size = 0

    def _setup_services(self):
        super()._setup_services()
        self.flags(allow_resize_to_same_host=True)

    def disks(self, server):
        """Return the sizes of a server's disks in MiB, and which of them are clones."""
        pool = Pool(self.pools.host, DISKS_POOL)
        names = pool.names(f"{server['id']}_")
        return {
            name.partition("_")[2]: (
                pool.volume(name).capacity // MIB,
                self.pools.parent(name) is not None,
            )
            for name in names
        }

    def sources(self, server):
        """Return what the domain says of where its disks are."""
        domain = ElementTree.fromstring(self.domain(server).XMLDesc())
        return {
            (disk.get("type"), disk.find("source").get("pool"))
            for disk in domain.findall("devices/disk")
        }

    def wanted_sources(self):
        """Return what it should say."""
        return {("volume", DISKS_POOL)}

    def test_life_of_a_server(self):
        small = self._create_flavor(memory_mb=64, vcpu=1, disk=1, ephemeral=1, swap=64)
        wanted = {**self._build_server(networks="none", flavor_id=small), "config_drive": True}
        server = self._wait_for_state_change(self.api.post_server({"server": wanted}), "ACTIVE")
        disks = {"disk": (1024, self.clones), "disk.eph0": (1024, False), "disk.swap": (64, False)}
        config = {"disk.config": (self.config_drive_size, False)}
        self.assertEqual({**disks, **config}, self.disks(server))
        self.assertEqual(self.wanted_sources(), self.sources(server))
        root = f"{server['id']}_disk"
        self.assertEqual(pattern(MIB), self.pools.content(root)[:MIB])

        self._stop_server(server)
        self._start_server(server)
        self._reboot_server(server, hard=True)
        self.assertTrue(self.domain(server).isActive())
        self.assertEqual({**disks, **config}, self.disks(server))

        self.api.post_server_action(server["id"], {"rescue": {}})
        self._wait_for_state_change(server, "RESCUE")
        self.assertIn("disk.rescue", self.disks(server))
        self.api.post_server_action(server["id"], {"unrescue": None})
        self._wait_for_state_change(server, "ACTIVE")
        self.assertEqual({**disks, **config}, self.disks(server))

        self._delete_server(server)
        self.assertEqual({}, self.disks(server))
        self.assertEqual([], self.pools.host.get_connection().listAllDomains())

    def test_resize(self):
        server = self.boot(disk=1, ephemeral=1, swap=64)
        before = self.disks(server)
        large = self._create_flavor(memory_mb=96, vcpu=1, disk=2, ephemeral=1, swap=32)
        for finish in (self._revert_resize, self._confirm_resize):
            self._resize_server(server, large)
            self.assertTrue(self.domain(server).isActive())
            self.assertEqual(2048, self.disks(server)["disk"][0])
            self.assertEqual(1024, self.disks(server)["disk.before"][0])
            finish(server)
            self.assertTrue(self.domain(server).isActive())
            reverted = finish == self._revert_resize
            found = {disk: size for disk, (size, _clone) in self.disks(server).items()}
            self.assertEqual(
                {disk: size for disk, (size, _clone) in before.items()}
                if reverted
                else {"disk": 2048, "disk.eph0": 1024, "disk.swap": 32},
                found,
            )
            root = self.pools.content(f"{server['id']}_disk")
            self.assertEqual(pattern(MIB), root[:MIB])
        self._delete_server(server)
        self.assertEqual({}, self.disks(server))

    def snapshot(self, server):
        """Snapshot a server; returns what Glance gets."""
        taken = []

        def take(_image_api, _context, _image_id, _metadata, file, **_options):
            path = os.path.join(self.pools.daemon.directory, "taken")
            with open(path, "wb") as copy:
                shutil.copyfileobj(file, copy)
            raw = f"{path}.raw"
            subprocess.run(["qemu-img", "convert", "-O", "raw", path, raw], check=True)
            with open(raw, "rb") as content:
                taken.append((os.path.getsize(raw), content.read(MIB)))

        with mock.patch("nova.image.glance.API.update", take):
            self.api.post_server_action(server["id"], {"createImage": {"name": "one"}})
            self.notifier.wait_for_versioned_notifications("instance.snapshot.end", timeout=120)
        return taken

    def test_snapshots(self):
        self.useFixture(nova_fixtures.PrivsepFixture())
        server = self.boot(disk=1)
        for stop in (False, True):
            if stop:
                self._stop_server(server)
            self.notifier.reset()
            self.assertEqual([(1024 * MIB, pattern(MIB))], self.snapshot(server))

    def test_legacy_server_moves_into_the_pool(self):
        self.useFixture(nova_fixtures.PrivsepFixture())
        self.flags(enabled=False, group="libvirt_storage")
        wanted = {**self._build_server(networks="none"), "config_drive": True}
        server = self._wait_for_state_change(self.api.post_server({"server": wanted}), "ACTIVE")
        self.assertEqual({}, self.disks(server))
        self.flags(enabled=True, group="libvirt_storage")
        self._reboot_server(server, hard=True)
        self.assertEqual({"disk", "disk.config"}, set(self.disks(server)))
        self.assertEqual(self.wanted_sources(), self.sources(server))
        root = self.pools.content(f"{server['id']}_disk")
        self.assertEqual(pattern(MIB), root[:MIB])
        self._reboot_server(server, hard=True)
        self._delete_server(server)
        self.assertEqual({}, self.disks(server))
