# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""The ``<disk type='volume'>`` element of a domain, which nova's own configuration lacks."""

from typing import Any

from lxml import etree
from nova.virt.libvirt import config as vconfig


class VolumeDisk(vconfig.LibvirtConfigGuestDisk):
    """A disk of a guest that is named by pool and volume.

    ``source_path`` is where the volume lies on this host; it is no part of the element.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source_type = "volume"
        self.source_pool = ""
        self.source_volume = ""

    @classmethod
    def of(cls, disk: Any, pool: str, volume: str) -> "VolumeDisk":
        """Return a disk of nova's as one that is named by pool and volume."""
        new = cls()
        new.__dict__.update(vars(disk))
        new.source_type = "volume"
        new.source_pool = pool
        new.source_volume = volume
        return new

    def format_dom(self) -> Any:
        """Return the element."""
        element = super().format_dom()
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
        if target not in disks or source is None:
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
