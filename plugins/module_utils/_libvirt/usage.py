# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a volume: domains, and volumes that lie on it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from urllib.parse import urlsplit

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import describe
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Client,
    Domain,
    Volume,
)

# Attributes of a disk's source that name a file or device.
_SOURCE_PATHS = ("file", "dev", "dir")
# How libvirt calls a unit of a pool of type iscsi-direct.
_ISCSI_UNIT = re.compile(r"ip-.+-iscsi-(.+)-lun-(\d+)")
# Files that a domain starts from.
_BOOT_PATHS = ("os/kernel", "os/initrd", "os/dtb", "os/loader", "os/nvram")


def domain_users(client: Client, volume: Volume, running_only: bool = False) -> list[str]:
    """The domains that have a volume among their disks, backing files or boot files."""
    return [
        domain.name
        for domain in client.domains()
        if (domain.active or not running_only) and _uses(domain, volume)
    ]


def require_not_running(client: Client, volume: Volume, intent: str) -> None:
    """Refuse to touch a volume that a running domain has, or that another volume lies on."""
    running = domain_users(client, volume, running_only=True)
    if running:
        raise Refused(
            f"Volume {volume.name!r} is not {intent}: domain {', '.join(running)} runs on it."
        )
    above = overlays(client, volume)
    if above:
        raise Refused(f"Volume {volume.name!r} is not {intent}: {', '.join(above)} lie on it.")


def overlays(client: Client, volume: Volume) -> list[str]:
    """The volumes of all active pools that lie on a volume, as ``pool/name``."""
    return [
        f"{other.pool}/{other.name}"
        for pool in client.pools()
        if pool.active
        for other in client.volumes(pool.name)
        if lies_on(other, volume)
    ]


def lies_on(overlay: Volume, volume: Volume) -> bool:
    """Whether a volume is the other's backing store."""
    backing = describe.backing(overlay.root)
    return bool(backing and backing["path"] == volume.path)


def require_unused(client: Client, volumes: list[Volume], intent: str = "deleted") -> None:
    """Refuse to touch volumes that a domain or a volume not among them uses.

    :param intent: what is not done then
    """
    going = {(volume.pool, volume.name) for volume in volumes}
    paths = {volume.path: volume for volume in volumes}
    users: list[str] = []
    for domain in client.domains():
        used = sorted(volume.name for volume in volumes if _uses(domain, volume))
        users += [f"domain {domain.name!r} uses {name!r}" for name in used]
    for pool in client.pools():
        for other in client.volumes(pool.name) if pool.active else ():
            backing = describe.backing(other.root)
            if backing and backing["path"] in paths and (other.pool, other.name) not in going:
                name = paths[backing["path"]].name
                users.append(f"volume {other.pool}/{other.name} lies on {name!r}")
    if users:
        raise Refused(f"Not {intent}, because it is in use: {'; '.join(users)}.")


def _uses(domain: Domain, volume: Volume) -> bool:
    return any(_names(ET.fromstring(xml), volume) for xml in domain.xml)


def _names(root: ET.Element, volume: Volume) -> bool:
    network_name = _network_name(volume)
    return any(
        (source.get("pool") == volume.pool and source.get("volume") == volume.name)
        or (source.get("protocol") and source.get("name") == network_name)
        for source in root.iter("source")
    ) or volume.path in set(_paths(root))


def _network_name(volume: Volume) -> str:
    """What a disk that QEMU itself reaches over the network calls a volume, on whichever host.

    See https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms
    """
    unit = _ISCSI_UNIT.fullmatch(volume.path)
    return "/".join(unit.groups()) if unit else urlsplit(volume.path).path.lstrip("/")


def _paths(root: ET.Element) -> Iterable[str]:
    for source in root.iter("source"):
        yield from (source.get(name, "") for name in _SOURCE_PATHS)
    for path in _BOOT_PATHS:
        yield root.findtext(path, "")
