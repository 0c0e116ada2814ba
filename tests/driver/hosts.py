# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Two compute hosts in one process: a driver each, on a libvirtd each, that run real guests.

Nova's configuration is one for the whole process, so that it is a host's turn in a ``with`` block.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import unittest
from typing import Any, ClassVar

import fixtures
import libvirt
import nova.conf
from lxml import etree
from nova import context, objects, test
from nova.network import model
from nova.tests import fixtures as nova_fixtures
from nova.tests.unit import fake_instance
from nova.virt import fake

# Nova's tests let nobody import libvirt once a test runs.
from nova.virt.polyvisor.libvirt import StoragePoolDriver
from nova_polyvisor.libvirt.pool import Pool
from oslo_utils.fixture import uuidsentinel as uuids
from private_libvirtd import HOSTNAMES
from support import DISKS_POOL, StorageFixture
from test_pool import MIB, pattern, qemu_info

CONF = nova.conf.CONF

BLOCK_DEVICES: dict[str, Any] = {
    "root_device_name": "/dev/vda",
    "image": [],
    "ephemerals": [],
    "swap": None,
    "block_device_mapping": [],
}


def fetch(target, image_id=None, **_options):
    """Stand for the download of an image of 1 MiB, or of a kernel that QEMU takes for one."""
    content = bytearray(pattern(MIB))
    if image_id == uuids.kernel:
        content[0x1F1:0x208] = bytes(23)
        content[0x1F1], content[0x1FE:0x200] = 1, b"\x55\xaa"
        content[0x202:0x208] = b"HdrS\x00\x02"
    with open(target, "wb") as file:
        file.write(content)


class ConfigDriveContent:
    """Stands for what nova tells an instance through its config drive."""

    def __init__(self, *_arguments, **_options):
        pass

    def metadata_for_config_drive(self):
        yield "openstack/latest/meta_data.json", b"{}"


class ComputeHost:
    """One of the hosts: ``driver``, ``pools`` (a StorageFixture) and its ``directory``."""

    def __init__(self, case: TwoHostsCase, number: int, shared: str | None) -> None:
        self._case = case
        self.name = HOSTNAMES[number]
        self.pools = case.useFixture(case.make_pools(self.name, shared))
        self.pools.pool.create(0)
        #: Directories of the further pools, by name.
        self.others = {
            name: self.pools.another_pool(name, case.directories.get(name))
            for name in set(case.pools.values())
        }
        os.symlink(self.pools.daemon.directory, os.path.join(case.links, self.name))
        self.directory = case.useFixture(fixtures.TempDir()).path
        self.start_driver()

    def start_driver(self) -> None:
        """Start a new driver, like nova-compute when it starts."""
        with self:
            self.driver = StoragePoolDriver(fake.FakeVirtAPI())
            self.driver.init_host(self.name)

    def __enter__(self) -> StoragePoolDriver:
        """Make it this host's turn.

        The paths of cached images stand in disks, and are the same on all hosts of a cloud.
        """
        path = os.path.join(self._case.links, "instances")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.symlink(self.directory, path)
        self._case.flags(host=self.name, my_ip=self.name, instances_path=path)
        self._case.flags(connection_uri=self.pools.daemon.uri, group="libvirt")
        return self.driver if hasattr(self, "driver") else None

    def __exit__(self, *_error: object) -> None:
        """End the turn; the next one sets all anew."""

    def pool(self, name: str = DISKS_POOL) -> Pool:
        """Return a pool, the one of the disks by default, as libvirt sees it now."""
        pool = Pool(self.pools.host, name)
        pool.refresh()
        return pool

    def domain(self) -> Any:
        """Return the only domain, None where there is none."""
        domains = self.pools.host.get_connection().listAllDomains()
        return domains[0] if domains else None

    def disks(self) -> dict[str, int]:
        """Return the sizes of the instance's disks in MiB, by name; those of all pools."""
        return {
            name: size for pool in (DISKS_POOL, *self.others) for name, size in self.in_pool(pool)
        }

    def in_pool(self, name: str) -> list[tuple[str, int]]:
        """Return the names of the disks in a pool, with their sizes in MiB."""
        return [
            (volume.name.removeprefix(f"{uuids.instance}_"), volume.capacity // MIB)
            for volume in self.pool(name).volumes()
            if volume.name.startswith(uuids.instance)
        ]

    def stop_domains(self) -> None:
        """Stop and undefine what is left of the guests."""
        for domain in self.pools.host.get_connection().listAllDomains():
            if domain.isActive():
                domain.destroy()
            domain.undefine()


@unittest.skipUnless(os.geteuid() == 0, "only root's libvirtd can be another host's")
class TwoHostsCase(test.NoDBTestCase):
    """A running instance with a root disk of 1 GiB on ``self.here``, and a host ``self.there``."""

    REQUIRES_LOCKING = True
    shared_pool = False
    #: What the driver takes the disks pool for.
    pool_class: type[Pool] = Pool
    #: Kinds of disks that have a pool of their own, and whether both hosts have the same one.
    pools: ClassVar[dict[str, str]] = {}
    shared_pools: frozenset[str] = frozenset()
    #: Sizes of the instance's disks: root and ephemeral in GiB, swap in MiB.
    sizes: tuple[int, int, int] = (1, 0, 0)
    #: Whether the instance is started with volumes; if not, with nova's own disks.
    enabled = True

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(nova_fixtures.PrivsepFixture())
        self.links = self.useFixture(fixtures.TempDir(rootdir="/tmp")).path
        socket = f"{self.links}/%s/run-libvirt/libvirt-sock"
        self.flags(
            virt_type="qemu",
            cpu_mode="none",
            live_migration_uri=f"qemu+unix:///system?socket={socket}",
            group="libvirt",
        )
        self.flags(enabled=False, group="vnc")
        self.flags(thread_pool_statistic_period=-1)
        for name in ("fetch_image", "fetch_raw_image"):
            self.stub_out(f"nova.virt.libvirt.utils.{name}", fetch)
        self.stub_out("nova.compute.utils.get_machine_ips", lambda: list(HOSTNAMES))
        self.stub_out("nova.virt.libvirt.host.Host._init_events", lambda host: None)
        # Nova's fixture lets no test read it, and it is there with version 2 of the cgroups alone.
        self.stub_out(
            "nova.virt.libvirt.host.Host._has_cgroupsv2_cpu_controller", lambda host: False
        )
        self.stub_out("nova.api.metadata.base.InstanceMetadata", ConfigDriveContent)
        self.stub_out(
            "nova.virt.libvirt.driver.LibvirtDriver._build_device_metadata",
            lambda *_arguments: None,
        )
        self.stub_out(
            "nova.objects.BlockDeviceMappingList.get_by_instance_uuid",
            lambda *_arguments: objects.BlockDeviceMappingList(objects=[]),
        )
        self.stub_out(
            "nova.network.neutron.API.has_port_binding_extension", lambda *_arguments: False
        )
        self.stub_out("nova.objects.Instance.save", lambda *_args, **_options: None)
        # What init_host asks the database for: a host that starts has no interrupted transition.
        self.stub_out("nova.objects.InstanceList.get_uuids_by_host", lambda *_arguments: [])
        self.context = context.get_admin_context()
        self.flags(pools=self.pools, enabled=self.enabled, group="libvirt_storage")
        shared = self.useFixture(fixtures.TempDir()).path if self.shared_pool else None
        self.directories = {
            name: self.useFixture(fixtures.TempDir()).path for name in self.shared_pools
        }
        self.here, self.there = (ComputeHost(self, number, shared) for number in (0, 1))
        self.addCleanup(self.here.stop_domains)
        self.addCleanup(self.there.stop_domains)
        self.instance = self.new_instance()
        self.use_flavor(self.instance.flavor)
        self.boot()

    def make_pools(self, hostname: str, shared: str | None) -> StorageFixture:
        """Return the pools of a host.

        :param shared: the directory of the disks pool, if it is another host's too
        """
        return StorageFixture(hostname, shared)

    def new_instance(self) -> Any:
        """Return an instance that is to be started on the first host."""
        instance = fake_instance.fake_instance_obj(
            self.context,
            uuid=uuids.instance,
            host=self.here.name,
            image_ref=uuids.image,
            root_device_name="/dev/vda",
            flavor=self.new_flavor(),
            expected_attrs=["system_metadata", "metadata", "flavor"],
            config_drive="True",
        )
        instance.system_metadata = {"image_disk_format": "raw", "image_hw_architecture": "x86_64"}
        instance.obj_reset_changes()
        for unused in ("trusted_certs", "numa_topology", "vcpu_model", "pci_requests"):
            setattr(instance, unused, None)
        instance.info_cache = objects.InstanceInfoCache(network_info=model.NetworkInfo())
        instance.pci_devices = objects.PciDeviceList(objects=[])
        return instance

    def new_flavor(self, **sizes: int) -> Any:
        """Return a flavor of the instance's with other sizes of disks in GiB; swap's is in MiB."""
        return objects.Flavor(
            id=1,
            name="one",
            flavorid="one",
            memory_mb=64,
            vcpus=1,
            extra_specs={},
            **{**dict(zip(("root_gb", "ephemeral_gb", "swap"), self.sizes, strict=True)), **sizes},
        )

    def use_flavor(self, flavor: Any) -> None:
        """Give the instance a flavor, like nova's manager does."""
        self.instance.flavor = flavor
        for size in ("root_gb", "ephemeral_gb", "memory_mb", "vcpus"):
            setattr(self.instance, size, flavor[size])

    def block_devices(self) -> dict[str, Any]:
        """Return what nova's manager tells drivers of disks: here of swap."""
        swap = {"device_name": "/dev/vdc", "swap_size": self.instance.flavor.swap}
        return {**BLOCK_DEVICES, "swap": swap if self.instance.flavor.swap else None}

    def boot(self, host: ComputeHost | None = None) -> None:
        """Start the instance on a host, the first one by default."""
        with host or self.here as driver:
            driver.spawn(
                self.context,
                self.instance,
                self.instance.image_meta,
                [],
                None,
                {},
                network_info=model.NetworkInfo(),
                block_device_info=self.block_devices(),
            )

    def disk_path(self, host: ComputeHost, disk: str) -> str:
        """Return where a disk of the instance lies on a host: in the pool, or in nova's directory."""
        path = os.path.join(host.pools.directory, f"{uuids.instance}_{disk}")
        novas = os.path.join(host.directory, uuids.instance, disk)
        return novas if os.path.exists(novas) else path

    def write(self, host: ComputeHost, disk: str = "disk") -> None:
        """Let the guest write to its disk: what nothing but this disk holds."""
        path = self.disk_path(host, disk)
        driver_format = qemu_info(path)["format"]
        write = ["qemu-io", "-f", driver_format, "-c", "write -P 42 2M 1M", path]
        subprocess.run(write, check=True, capture_output=True)

    def assert_written(self, host: ComputeHost, disk: str = "disk") -> None:
        """Fail unless a disk holds what ``write`` has written, and the image's content below."""
        path = self.disk_path(host, disk)
        read = ["qemu-io", "-r", "-U", "-f", qemu_info(path)["format"], "-c"]
        read += ["read -P 42 2M 1M", path]
        said = subprocess.run(read, capture_output=True, text=True, check=False)
        self.assertEqual((0, ""), (said.returncode, said.stderr))
        self.assertNotIn("Pattern verification failed", said.stdout)

    def assert_lives_on(
        self, host: ComputeHost, disks: dict[str, int], over_image: bool = True
    ) -> None:
        """Fail unless the instance runs on a host from volumes of these sizes in MiB.

        The config drive, of less than 1 MiB, is one more.

        :param over_image: whether its root disk lies over the cached image
        """
        domain = host.domain()
        self.assertTrue(domain is not None and domain.isActive())
        defined = etree.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        for element in defined.findall("devices/disk"):
            self.assertEqual("volume", element.get("type"))
        self.assertEqual({**disks, "disk.config": 0}, host.disks())
        root = qemu_info(os.path.join(host.pools.directory, f"{uuids.instance}_disk"))
        self.assertEqual(over_image and CONF.use_cow_images, "backing-filename" in root)
        if "backing-filename" in root:
            self.assertEqual(
                self.links + "/instances/_base", os.path.dirname(root["backing-filename"])
            )
            cached = os.path.join(
                host.directory, "_base", os.path.basename(root["backing-filename"])
            )
            self.assertTrue(os.path.exists(cached))

    def assert_nothing_on(self, host: ComputeHost) -> None:
        """Fail unless a host has nothing of the instance any more."""
        self.assertEqual({}, host.disks())
        self.assertIsNone(host.domain())
        left = [name for name in os.listdir(host.directory) if uuids.instance in name]
        self.assertEqual([], left)
