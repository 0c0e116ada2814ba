# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a new volume is copied from or lies on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import NotFound, Refused
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import describe, image
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Pool,
    Volume,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_client import (
    VolumeClient,
)

_NAMES_SHOWN = 10


@dataclass(frozen=True)
class Source:
    """An image that exists.

    :param capacity: its virtual size in bytes; None if only the daemon's machine could tell
    :param volume: the volume that it is, where it is one
    """

    path: str
    format: str
    capacity: int | None
    volume: Volume | None = None


def active_pool(client: VolumeClient, name: str) -> Pool:
    """A pool whose volumes can be reached.

    :raises NotFound: if there is no such pool
    :raises Refused: if it is not active
    """
    pool = client.find_pool(name)
    if not pool:
        names = ", ".join(pool.name for pool in client.pools()) or "none"
        raise NotFound(f"There is no pool {name!r} (there are: {names}).")
    if not pool.active:
        raise Refused(f"Pool {name!r} is not active. Start it: libvirt_pool with state=active.")
    return pool


def from_volume(client: VolumeClient, pool: str, name: str) -> Source:
    """A volume as a source.

    :raises NotFound: if the pool or the volume does not exist
    """
    active_pool(client, pool)
    volume = client.find_volume(pool, name)
    if not volume:
        names = client.volume_names(pool)
        shown = ", ".join(names[:_NAMES_SHOWN]) or "none"
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        raise NotFound(f"There is no volume {name!r} in pool {pool!r} (there are: {shown}{more}).")
    return _of(volume)


def from_backing(client: VolumeClient, backing: dict[str, Any]) -> Source:
    """What the option ``backing`` names: a volume, or the path of an image.

    A stated format is believed: what a guest writes into a raw image must not make it another.
    """
    stated = backing.get("format")
    if backing.get("name"):
        found = from_volume(client, backing["pool"], backing["name"])
    else:
        path = backing["path"]
        volume = client.find_volume_by_path(path)
        found = _of(volume) if volume else _image(client, path, stated)
    return Source(found.path, stated or found.format, found.capacity, found.volume)


def require_secret(client: VolumeClient, encryption: dict[str, Any] | None) -> None:
    """Refuse an encryption whose passphrase libvirt does not know."""
    if not encryption:
        return
    wanted = encryption["secret"]
    for known in client.secrets():
        if wanted["uuid"] == known.uuid or (known.usage, known.name) == ("volume", wanted["usage"]):
            return
    named = " ".join(f"{key} {value}" for key, value in wanted.items() if value)
    raise NotFound(f"libvirt has no secret of {named}. Define it: libvirt_secret.")


def _of(volume: Volume) -> Source:
    described = describe.volume(volume)
    return Source(volume.path, described["format"] or "raw", described["capacity"], volume)


def _image(client: VolumeClient, path: str, stated: str | None) -> Source:
    """A file that no active pool holds."""
    if not stated:
        raise Refused(
            f"{path} is no volume of an active pool: say in backing.format what it holds."
        )
    return Source(path, stated, image.virtual_size(path, stated) if client.local else None)
