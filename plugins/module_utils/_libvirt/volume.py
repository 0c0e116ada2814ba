# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings one storage volume to its wanted state: wanted, found, plan."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    NotFound,
    OperationFailed,
    Refused,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    describe,
    partition,
    usage,
    volume_kinds,
    volume_part,
    volume_source,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.checks import (
    require_mode,
    require_name,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Pool,
    Volume,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.content import Memory
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_change import Change
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_client import (
    VolumeClient,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_creation import (
    Creation,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_download import (
    Download,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_upload import (
    Upload,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import Plan, Step


@dataclass
class Findings:
    """What one run of the module has read of content; it makes its plan more than once."""

    uploaded: Memory = field(default_factory=Memory)
    downloaded: Memory = field(default_factory=Memory)
    zero: Memory = field(default_factory=Memory)


def plan(client: VolumeClient, options: dict[str, Any], findings: Findings) -> Plan:
    """What has to be done to a volume.

    :param options: the parameters of the module libvirt_volume
    :raises Refused: if the options make no sense or are not safe to carry out
    :raises NotFound: if a pool or volume that they name does not exist
    """
    require_name("pool", options["pool"])
    require_name("name", options["name"])
    require_mode(options["permissions"])
    if options["state"] == "absent":
        return _removal(client, options)
    source = next((key for key in ("clone", "backing", "upload") if options[key]), None)
    if options["wipe"] and source:
        raise Refused(f"wipe and {source} contradict each other: one of them is to be left out.")
    pool = volume_source.active_pool(client, options["pool"])
    found = _look(client, pool, options["name"])
    upload = Upload(client, options, pool, findings.uploaded) if options["upload"] else None
    if found:
        made = Change(client, options, pool, found, upload, findings.zero).make()
    elif options["download"] and not (source or options["capacity"]):
        raise NotFound(f"There is no volume {options['name']!r} in pool {pool.name!r} to download.")
    else:
        made = Creation(client, options, pool, upload).make()
    if options["download"]:
        Download(client, options, findings.downloaded).add_to(made, found)
    return made


def _look(client: VolumeClient, pool: Pool, name: str) -> Volume | None:
    """A volume, also one that the daemon has not noticed yet."""
    found = client.find_volume(pool.name, name)
    if not found and volume_part.unknown_file(client, pool, name):
        with suppress(OperationFailed):
            client.refresh_pool(pool.name)
        found = client.find_volume(pool.name, name)
    return found


def _removal(client: VolumeClient, options: dict[str, Any]) -> Plan:
    pool_name, name = options["pool"], options["name"]
    gone = {"pool": pool_name, "name": name, "state": "absent"}
    pool = client.find_pool(pool_name)
    found = None
    if pool:
        volume_source.active_pool(client, pool_name)
        found = client.find_volume(pool_name, name)
    if not found:
        return Plan(gone, gone, [], {"volume": None})
    usage.require_unused(client, [found])
    steps = []
    if options["wipe"]:
        algorithm = options["wipe"]
        steps.append(Step("wipe", lambda: client.wipe_volume(pool_name, name, algorithm)))
    steps.append(Step("delete", lambda: _delete(client, pool, name)))
    before = describe.volume_view(describe.volume(found))
    return Plan(before, gone, steps, {"volume": None})


def _delete(client: VolumeClient, pool: Pool, name: str) -> None:
    try:
        client.delete_volume(pool.name, name)
    except OperationFailed as error:
        if volume_kinds.kind(pool) != "disk":
            raise
        raise partition.not_deleted(pool.name, name, error) from error
