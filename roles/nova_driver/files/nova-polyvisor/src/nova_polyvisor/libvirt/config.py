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
