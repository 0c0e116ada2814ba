# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the _info modules return."""

from __future__ import annotations

from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    describe,
    volume_source,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Volume,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_client import (
    VolumeClient,
)

_FILTERS = ("name", "type", "state")


def pools(client: VolumeClient, options: dict[str, Any]) -> list[dict[str, Any]]:
    """The pools that the filters among the options let through; see describe.pool.

    :param options: the parameters of the module libvirt_pool_info
    """
    described = (describe.pool(pool) for pool in client.pools())
    found = [
        pool
        for pool in described
        if all(options[key] is None or pool[key] in options[key] for key in _FILTERS)
    ]
    if options["volumes"]:
        for pool in found:
            started = pool["state"] != "inactive"
            pool["volumes"] = volumes(client, pool["name"]) if started else []
    return found


def volumes(
    client: VolumeClient,
    pool: str | None,
    name: str | None = None,
    image_format: str | None = None,
    path: str | None = None,
) -> list[dict[str, Any]]:
    """The volumes of one active pool, or of all, that fit what is stated; see describe.volume.

    :raises NotFound: if there is no such pool
    :raises Refused: if it is not active
    """
    if pool is not None:
        volume_source.active_pool(client, pool)
    described = [describe.volume(volume) for volume in _candidates(client, pool, name, path)]
    wanted = {"pool": pool, "name": name, "format": image_format}
    stated = {key: value for key, value in wanted.items() if value is not None}
    return [each for each in described if all(each[key] == stated[key] for key in stated)]


def _candidates(
    client: VolumeClient, pool: str | None, name: str | None, path: str | None
) -> list[Volume]:
    """Volumes to choose from, found with as few calls as the filters permit."""
    if path is not None:
        found = client.find_volume_by_path(path)
        return [found] if found else []
    names = [pool] if pool is not None else client.active_pool_names()
    if name is None:
        return [volume for pool_name in names for volume in client.volumes(pool_name)]
    candidates = (client.find_volume(pool_name, name) for pool_name in names)
    return [volume for volume in candidates if volume]
