# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""The ``<disk type='volume'>`` element of a domain, which nova's own configuration lacks."""

import dataclasses
from typing import Any

from lxml import etree
from nova.virt.libvirt import config as vconfig


@dataclasses.dataclass(frozen=True)
class NetworkSource:
    """What QEMU reaches over the network by itself: its name there, and by whom it is served.

    ``hosts`` are names or addresses with their ports, ``secret`` names libvirt's secret by which
    ``username`` proves who it is: ``uuid`` or ``usage``, and its value.
    """

    protocol: str
    name: str
    hosts: tuple[tuple[str, str], ...]
    username: str | None = None
    secret: tuple[str, str] | None = None


class VolumeDisk(vconfig.LibvirtConfigGuestDisk):
    """A disk of a guest that is named by pool and volume.

    ``source_path`` is where the volume lies on this host; it is no part of the element. Where
    libvirt takes no disk by the names of its pool and volume, the element names what is reached over
    the network.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source_type = "volume"
        self.source_pool = ""
        self.source_volume = ""
        self.network: NetworkSource | None = None

    @classmethod
    def of(
        cls, disk: Any, pool: str, volume: str, network: NetworkSource | None = None
    ) -> "VolumeDisk":
        """Return a disk of nova's as one that is named by pool and volume.

        :param network: how the volume is reached, if libvirt does not take it by these names
        """
        new = cls()
        new.__dict__.update(vars(disk))
        new.source_type = "volume"
        new.source_pool = pool
        new.source_volume = volume
        new.network = network
        if network is not None:
            new.source_type = "network"
            new.source_protocol = network.protocol
            new.source_name = network.name
            new.source_hosts = [host for host, _port in network.hosts]
            new.source_ports = [port for _host, port in network.hosts]
        return new

    def format_dom(self) -> Any:
        """Return the element."""
        element = super().format_dom()
        if self.source_type == "network":
            if self.network is not None and self.network.secret is not None:
                # Nova knows secrets by their UUIDs alone, which hosts need not have in common.
                auth = etree.SubElement(element, "auth", username=self.network.username)
                kind, value = self.network.secret
                etree.SubElement(auth, "secret", {"type": "ceph", kind: value})
            return element
        source = etree.Element("source", pool=self.source_pool, volume=self.source_volume)
        element.insert(element.index(element.find("target")), source)
        return element

    def parse_dom(self, xmldoc: Any) -> None:
        """Take over the element that libvirt gives."""
        super().parse_dom(xmldoc)
        source = xmldoc.find("source")
        if source is not None:
            self.source_pool = source.get("pool", "")
            self.source_volume = source.get("volume", "")


def name_disks(
    xml: str, disks: dict[str, VolumeDisk], paths: dict[str, str], boot: dict[str, str]
) -> str:
    """Return a domain's definition with its volumes named by path, or else by pool and volume.

    :param disks: the domain's volumes by the names of the disks in the guest, such as ``vda``
    :param paths: where those lie that are to be named by path
    :param boot: new paths of a kernel and a ramdisk by the old ones
    """
    domain = etree.fromstring(xml)
    for element in domain.xpath("os/kernel | os/initrd"):
        element.text = boot.get(element.text, element.text)
    for element in domain.findall("devices/disk"):
        target = disk_target(element)
        source = element.find("source")
        if target not in disks or source is None or disks[target].source_type == "network":
            continue
        source.clear()
        driver = element.find("driver")
        if driver is not None and disks[target].driver_format:
            driver.set("type", disks[target].driver_format)
        # What the disk lies over libvirt finds out by itself.
        for old in element.findall("backingStore") + element.findall("auth"):
            element.remove(old)
        if target in paths:
            element.set("type", "file")
            source.set("file", paths[target])
        else:
            element.set("type", "volume")
            source.set("pool", disks[target].source_pool)
            source.set("volume", disks[target].source_volume)
    return etree.tostring(domain, encoding="unicode")


def disk_target(element: Any) -> str:
    """Return the name that a disk of a domain has in the guest, such as ``vda``."""
    return element.find("target").get("dev")
