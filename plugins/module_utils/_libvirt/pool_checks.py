# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pool must not do, looked at before anything is changed."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    local,
    pool_meaning,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Client,
    Pool,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.pool_definition import (
    Definition,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.pool_types import (
    NO_FORMAT,
    PoolType,
    type_of,
)

# What tells the remote source of one pool from that of another.
_REMOTE = ("source/host", "source/device", "source/dir/@path", "source/name")


def require_supported(client: Client, kind: str) -> None:
    """Refuse a type that the daemon has no backend for."""
    supported = client.pool_types()
    if kind not in supported:
        raise Refused(
            f"The libvirt daemon at {client.uri} cannot manage pools of type {kind} (it can: "
            f"{', '.join(sorted(supported))}). Install its storage backend there, for example the "
            f"package libvirt-daemon-driver-storage-{kind}, and restart the daemon."
        )


def require_unclaimed(client: Client, name: str, wanted: pool_meaning.Meaning) -> None:
    """Refuse a path, device or remote source that another pool has."""
    claims = _claims(client, wanted)
    for other in client.pools():
        if other.name == name:
            continue
        theirs = [
            _claims(client, pool_meaning.stated(ET.fromstring(xml)))
            for xml in (other.definition, other.live)
        ]
        shared = claims & set().union(*theirs)
        if shared:
            raise Refused(
                f"Pool {name!r} cannot use {', '.join(sorted(shared))}: pool {other.name!r} "
                f"({other.state}) has it. Use that pool, choose something else, or undefine "
                f"{other.name!r} first (its data stays)."
            )


def _claims(client: Client, meaning: pool_meaning.Meaning) -> set[str]:
    """What a pool has for itself: paths of the machine, or a source elsewhere."""
    kind = str(meaning["type"])
    if meaning.get("source/host"):
        said = (meaning.get(key, ()) for key in _REMOTE)
        values = (" ".join(value) if isinstance(value, tuple) else value for value in said)
        source = " ".join(value for value in (kind, *values) if value)
        return {source} | _target(client, meaning)
    claims = set(meaning.get(pool_meaning.DEVICES, ()))
    if client.local:
        claims = {os.path.realpath(claim) for claim in claims}
    return claims | _target(client, meaning)


def _target(client: Client, meaning: pool_meaning.Meaning) -> set[str]:
    """The target's path; many pools may have their device nodes in one directory."""
    path = str(meaning.get("target/path", "/dev/"))
    own = type_of(str(meaning["type"])).builds == "group"
    if f"{path}/".startswith("/dev/") and not own:
        return set()
    return {os.path.realpath(path) if client.local else path}


def require_usable(
    definition: Definition, found: Pool | None, options: dict[str, Any], group_exists: bool
) -> None:
    """Refuse a directory or device of this machine that cannot serve, or carries data.

    :param group_exists: whether what a build would make of the devices is there already
    """
    known = definition.type
    path = definition.text("target/path")
    if path and known.on_directory and "target/path" in definition.changes:
        local.require_directory(path, options["build"] != "never")
    if group_exists or not known.on_devices or not definition.changes & pool_meaning.DEVICE_KEYS:
        return
    for device in definition.devices():
        local.require_block_device(device)
        local.require_free(device, _own_mount_point(definition, found, options))
        _require_taken_or_empty(definition, options, device)


def _own_mount_point(
    definition: Definition, found: Pool | None, options: dict[str, Any]
) -> str | None:
    """Where the device may be mounted: by this pool, or to be taken as it is."""
    stopped_first = found and found.active
    if options["build"] == "overwrite" and not stopped_first:
        return None
    return definition.text("target/path")


def _require_taken_or_empty(definition: Definition, options: dict[str, Any], device: str) -> None:
    carried = local.signature(device, prefer_table=definition.kind == "disk")
    wanted = definition.text(pool_meaning.FORMAT)
    if carried and options["build"] != "overwrite":
        _require_carried(definition.kind, definition.type, device, carried, wanted)
    if not carried and options["build"] == "never" and options["state"] == "active":
        raise Refused(
            f"The device {device} carries no {wanted or 'file system'}. Format it, or let "
            "build=if_needed do it."
        )


def _require_carried(
    kind: str, known: PoolType, device: str, carried: str, wanted: str | None
) -> None:
    """Refuse a device with something else on it than the pool's format."""
    if known.builds == "format" and carried == wanted:
        return
    if kind == "fs" and wanted in NO_FORMAT and carried not in type_of("disk").formats:
        return
    another = "another format" if wanted in NO_FORMAT or carried == wanted else wanted
    raise Refused(
        f"The device {device} carries {carried}, and the pool wants {another}. Choose another "
        "device, state the format that is there, or lose what is on the device with "
        "build=overwrite."
    )
