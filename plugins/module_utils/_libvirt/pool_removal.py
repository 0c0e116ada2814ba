# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes one storage pool: its definition, or its data as well."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    OperationFailed,
    Refused,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import describe, usage
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Client,
    Pool,
    Volume,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.pool_types import type_of
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import Plan, Step

# How to make what a pool needs to start, where that can be done without loss.
_REBUILDS = {"dir": "directory", "fs": "directory", "netfs": "directory", "disk": "empty"}
# libvirt lists it as a volume; the file system, which stays, wants it.
_BELONGS_TO_FILE_SYSTEM = "lost+found"


def plan(client: Client, options: dict[str, Any], found: Pool | None) -> Plan:
    """What has to be done so that a pool is not there.

    :raises Refused: if data were to be lost without leave, or while it is used
    """
    name = options["name"]
    if options["state"] == "deleted" and not options["delete_data"]:
        raise Refused(
            f"state=deleted removes the volumes of pool {name!r} and what they hold. Say so with "
            "delete_data=true, or keep them with state=undefined."
        )
    gone = {"name": name, "state": "undefined"}
    facts = {"pool": None, "restart_required": False}
    if not found:
        return Plan(gone, gone, [], facts)
    described = describe.pool(found)
    before = {key: described[key] for key in ("name", "state", "persistent", "autostart")}
    before["type"] = described["type"]
    if options["state"] == "undefined":
        return Plan(before, gone, _forget(client, found, found.active), facts)
    return _deletion(client, found, before, gone, facts)


def _forget(client: Client, pool: Pool, active: bool) -> list[Step]:
    steps = []
    if active:
        undo = (lambda: client.start_pool(pool.name)) if pool.persistent else None
        steps.append(Step("stop", lambda: client.stop_pool(pool.name), undo))
    if pool.persistent:
        steps.append(Step("undefine", lambda: client.undefine_pool(pool.name)))
    return steps


def _deletion(
    client: Client, pool: Pool, before: dict[str, Any], gone: dict[str, Any], facts: dict[str, Any]
) -> Plan:
    """Delete volumes, what is under the pool, and its definition."""
    steps = []
    known = type_of(before["type"])
    if not known.deletes_volumes:
        raise Refused(
            f"The volumes of pool {pool.name!r} are devices that others provide; libvirt cannot "
            f"delete those of a pool of type {before['type']}. Use state=undefined."
        )
    if pool.active:
        volumes = client.volumes(pool.name)
        before["volumes"] = [volume.name for volume in volumes]
        usage.require_unused(client, volumes)
    elif before["type"] == "logical" and _group(pool) not in client.volume_groups():
        return Plan(before, gone, _forget(client, pool, active=False), facts)
    else:
        start = Step(
            "start",
            lambda: _start(client, pool.name, before["type"]),
            lambda: client.stop_pool(pool.name),
            quiet=True,
        )
        steps.append(start)
    if not pool.persistent:
        steps.append(Step("define", lambda: client.define_pool(pool.name, pool.definition)))
    delete = _require_unused if before["type"] == "disk" else _delete_volumes
    steps.append(Step("delete volumes", lambda: delete(client, pool.name)))
    steps.append(Step("stop", lambda: client.stop_pool(pool.name)))
    if known.deletes:
        steps.append(Step("delete", lambda: client.delete_pool(pool.name)))
    steps.append(Step("undefine", lambda: client.undefine_pool(pool.name)))
    return Plan(before, gone, steps, facts)


def _start(client: Client, name: str, kind: str) -> None:
    """Start, to see what there is to delete; what an earlier run had deleted is made once more."""
    try:
        client.start_pool(name)
    except OperationFailed as error:
        mode = _REBUILDS.get(kind)
        if not mode or error.busy:
            raise
        client.build_pool(name, mode)
        client.start_pool(name)


def _group(pool: Pool) -> str | None:
    return ET.fromstring(pool.definition).findtext("source/name")


def _require_unused(client: Client, pool: str) -> list[Volume]:
    """The volumes as they are now; libvirt deletes those of a disk with the partition table."""
    client.refresh_pool(pool)
    volumes = client.volumes(pool)
    usage.require_unused(client, volumes)
    return volumes


def _delete_volumes(client: Client, pool: str) -> None:
    """Directories first: one that is not empty fails before a file is gone."""
    for volume in sorted(_require_unused(client, pool), key=_is_file):
        if volume.name != _BELONGS_TO_FILE_SYSTEM:
            client.delete_volume(pool, volume.name)


def _is_file(volume: Volume) -> bool:
    return ET.fromstring(volume.xml).get("type") != "dir"
