# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Domains whose disks are volumes, as nova sees them: every disk has a path."""

from collections.abc import Callable
from typing import Any

import libvirt
from lxml import etree
from nova.virt.libvirt import guest as libvirt_guest
from nova.virt.libvirt import host as libvirt_host

from nova_polyvisor.libvirt.config import VolumeDisk, disk_target, name_disks
from nova_polyvisor.libvirt.waiting import poll

#: Finds the path of a volume by the names of its pool and of itself.
FindPath = Callable[[str, str], str | None]

#: Finds the names of pool and volume by what a volume is called on the network.
FindVolume = Callable[[str], tuple[str, str] | None]


class VolumeGuest(libvirt_guest.Guest):
    """A guest that tells the paths of its volumes.

    Nova finds disks by path in snapshots and while it watches a block job.
    """

    def __init__(
        self, domain: Any, find_path: FindPath, find_volume: FindVolume = lambda _name: None
    ) -> None:
        super().__init__(domain)
        self._find_path = find_path
        self._find_volume = find_volume
        #: Paths at the destination of a live migration, by disk: of the volumes that are copied.
        self.paths_at_destination: dict[str, str] = {}
        #: Volumes that disks of nova's own image backends become at the destination, by disk.
        self.new_volumes: dict[str, VolumeDisk] = {}
        #: Paths of a kernel and a ramdisk there, by those here.
        self.boot_at_destination: dict[str, str] = {}
        #: Whether QEMU copies also what the disks lie over.
        self.copied_whole = False

    def get_config(self) -> Any:
        """Return nova's configuration of the guest, volume disks with their paths."""
        config = super().get_config()
        config.devices = self._with_volumes(config.devices, 0)
        return config

    def get_all_devices(
        self, devtype: Any = None, from_persistent_config: bool = False
    ) -> list[Any]:
        """Return the guest's devices of a type, volume disks with their paths."""
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE if from_persistent_config else 0
        return self._with_volumes(super().get_all_devices(devtype, from_persistent_config), flags)

    def _with_volumes(self, devices: list[Any], flags: int) -> list[Any]:
        volumes = self._volume_disks(flags)
        return [
            volumes.get(device.target_dev, device) if device.root_name == "disk" else device
            for device in devices
        ]

    def get_disk(self, device: str, from_persistent_config: bool = False) -> Any:
        """Return the disk that has a target name or a source path, None where there is none."""
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE if from_persistent_config else 0
        for disk in self._volume_disks(flags).values():
            if device in (disk.target_dev, disk.source_path):
                return disk
        return super().get_disk(device, from_persistent_config)

    def migrate(self, *args: Any, **kwargs: Any) -> None:
        """Migrate the running guest; volumes that are copied are named by path meanwhile."""
        libvirt_guest.Guest(_MigratingDomain(self)).migrate(*args, **kwargs)

    def _volume_disks(self, flags: int) -> dict[str, VolumeDisk]:
        """Return the guest's volumes by the names of the disks in the guest.

        A guest that has come by live migration names its volumes by path until it is started anew;
        its definition names them by pool and volume.
        """
        domain = etree.fromstring(self._domain.XMLDesc(flags))
        disks = self._named_volumes(domain)
        files = {
            disk_target(element): element.find("source")
            for element in domain.findall("devices/disk[@type='file']")
        }
        if files and not flags & libvirt.VIR_DOMAIN_XML_INACTIVE:
            defined = etree.fromstring(self._domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            for target, disk in self._named_volumes(defined).items():
                source = files.get(target)
                if source is not None and source.get("file") == disk.source_path:
                    disks[target] = disk
        return disks

    def _named_volumes(self, domain: Any) -> dict[str, VolumeDisk]:
        disks = {}
        for element in domain.findall("devices/disk[@type='volume']"):
            disk = VolumeDisk()
            disk.parse_dom(element)
            if disk.source_pool and disk.source_volume:
                disk.source_path = self._find_path(disk.source_pool, disk.source_volume)
                disks[disk.target_dev] = disk
        for element in domain.findall("devices/disk[@type='network']"):
            disk = VolumeDisk()
            disk.parse_dom(element)
            found = self._find_volume(disk.source_name or "")
            if found is not None:
                disk.source_pool, disk.source_volume = found
                disk.source_path = disk.source_name
                disks[disk.target_dev] = disk
        return disks


class _MigratingDomain:
    """What nova needs of a domain to migrate it."""

    def __init__(self, guest: VolumeGuest) -> None:
        self._guest = guest

    def migrateToURI3(self, destination: str, params: dict[str, Any], flags: int) -> None:
        """Migrate the domain, with one definition for the way and one for its life there."""
        guest = self._guest
        xml = params.get("destination_xml")
        if xml:
            disks = {**guest._volume_disks(0), **guest.new_volumes}
            boot = guest.boot_at_destination
            params["destination_xml"] = name_disks(xml, disks, guest.paths_at_destination, boot)
            params["persistent_xml"] = name_disks(xml, disks, {}, boot)
        if guest.copied_whole:
            flags &= ~libvirt.VIR_MIGRATE_NON_SHARED_INC
            flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
        guest._domain.migrateToURI3(destination, params=params, flags=flags)


class VolumeHost(libvirt_host.Host):
    """Nova's connection to libvirt, giving guests that tell the paths of their volumes.

    ``find_path`` and ``find_volume`` are set before a guest is asked for.
    """

    find_path: FindPath
    find_volume: FindVolume

    def wait_until_reached(self, timeout: float) -> bool:
        """Wait for a libvirtd that is about to start again; tell whether it answers.

        :param timeout: seconds
        """
        return poll(self._is_reached, timeout, lambda: None)

    def _is_reached(self) -> bool:
        try:
            self._get_connection()
        except libvirt.libvirtError:
            return False
        return True

    def get_guest(self, instance: Any) -> VolumeGuest:
        """Return an instance's guest.

        :raises InstanceNotFound: libvirt has no such domain
        """
        return self._guest(self._get_domain(instance))

    def list_guests(self, only_running: bool = True) -> list[VolumeGuest]:
        """Return the guests of this host."""
        domains = self.list_instance_domains(only_running=only_running)
        return [self._guest(domain) for domain in domains]

    def write_instance_config(self, xml: str) -> VolumeGuest:
        """Define a domain without starting it."""
        return self._guest(self.get_connection().defineXML(xml))

    def _guest(self, domain: Any) -> VolumeGuest:
        return VolumeGuest(domain, self.find_path, self.find_volume)
