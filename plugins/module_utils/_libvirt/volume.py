# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings one storage volume to its wanted state: wanted, found, plan."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from contextlib import suppress
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    OperationFailed,
    Refused,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    describe,
    local,
    partition,
    usage,
    volume_source,
    volume_xml,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.checks import (
    require_mode,
    require_name,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Client,
    Pool,
    Volume,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import Plan, Step
from ansible_collections.polyvisor.compute.plugins.module_utils._units import (
    format_size,
    parse_size,
)

_SECTOR = 512
# Pools whose volumes are files, which libvirt can resize.
_FILE_POOLS = ("dir", "fs", "netfs", "vstorage")
# Formats that libvirt can make a file of.
_CREATABLE = ("raw", "qcow2", "qcow", "qed", "vdi", "vmdk", "vpc", "ploop", "dir")
# Formats whose header can name a backing file.
_LAYERED = ("qcow2", "qcow", "qed", "vmdk")


def plan(client: Client, options: dict[str, Any]) -> Plan:
    """What has to be done to a volume.

    :param options: the parameters of the module libvirt_volume
    :raises Refused: if the options make no sense or are not safe to carry out
    :raises NotFound: if a pool or volume that they name does not exist
    """
    require_name("pool", options["pool"])
    require_name("name", options["name"])
    require_mode(options["permissions"])
    if options["state"] == "absent":
        return _removal(client, options["pool"], options["name"])
    found_pool = volume_source.active_pool(client, options["pool"])
    found = client.find_volume(options["pool"], options["name"])
    if found:
        return _Change(client, options, found_pool, found).make()
    return _Creation(client, options, found_pool).make()


def _removal(client: Client, pool_name: str, name: str) -> Plan:
    gone = {"pool": pool_name, "name": name, "state": "absent"}
    pool = client.find_pool(pool_name)
    found = None
    if pool:
        volume_source.active_pool(client, pool_name)
        found = client.find_volume(pool_name, name)
    if not found:
        return Plan(gone, gone, facts={"volume": None})
    usage.require_unused(client, [found])
    step = Step("delete", lambda: _delete(client, _kind(pool), pool_name, name))
    return Plan(_view(describe.volume(found)), gone, [step], {"volume": None})


def _delete(client: Client, kind: str, pool: str, name: str) -> None:
    try:
        client.delete_volume(pool, name)
    except OperationFailed as error:
        if kind != "disk":
            raise
        raise partition.not_deleted(pool, name, error) from error


def _kind(pool: Pool) -> str:
    return ET.fromstring(pool.live).get("type", "")


def _view(described: dict[str, Any]) -> dict[str, Any]:
    """What a diff shows of a volume."""
    shown = ("pool", "name", "capacity", "format", "backing", "permissions")
    return {"state": "present", **{key: described[key] for key in shown}}


def _stated_permissions(options: dict[str, Any]) -> dict[str, Any]:
    permissions = options["permissions"] or {}
    return {key: value for key, value in permissions.items() if value is not None}


class _Creation:
    """The plan for a volume that is not there yet."""

    def __init__(self, client: Client, options: dict[str, Any], pool: Pool) -> None:
        self.client = client
        self.found_pool = pool
        self.pool = pool.name
        self.name = options["name"]
        self.options = options
        self.kind = _kind(pool)
        clone, backing = options["clone"], options["backing"]
        self.origin = volume_source.from_volume(client, **clone) if clone else None
        self.backing = volume_source.from_backing(client, backing) if backing else None
        self.format = self._format()
        self.capacity = self._capacity()

    def _format(self) -> str | None:
        """The stated format, or the one that goes without saying."""
        if self.backing and self.kind not in _FILE_POOLS:
            raise Refused(f"A pool of type {self.kind} holds no copy-on-write volumes.")
        if self.options["format"]:
            wanted = self.options["format"]
        elif self.kind not in _FILE_POOLS:
            return None
        elif self.backing:
            wanted = "qcow2"
        else:
            wanted = self.origin.format if self.origin else "raw"
        if self.kind in _FILE_POOLS and wanted not in _CREATABLE:
            raise Refused(
                f"libvirt makes no volume of format {wanted!r}. It does make: "
                f"{', '.join(_CREATABLE)}."
            )
        if self.backing and wanted not in _LAYERED:
            raise Refused(
                f"A volume of format {wanted} cannot lie on another one. Formats that can: "
                f"{', '.join(_LAYERED)}; or make a full copy with clone."
            )
        return wanted

    def _capacity(self) -> int:
        source = self.origin or self.backing
        stated = self.options["capacity"]
        if stated is None:
            if not source or source.capacity is None:
                raise Refused(f"capacity is needed to make volume {self.name!r}.")
            return source.capacity
        capacity = parse_size(stated)
        if source and source.capacity is not None and capacity < source.capacity:
            raise Refused(
                f"capacity={stated} is less than the {format_size(source.capacity)} of "
                f"{source.path}, so that the volume would lose the end of it. State that size or "
                "more, or leave capacity out."
            )
        return capacity

    def make(self) -> Plan:
        """The plan: one step."""
        if self.kind == "disk":
            partition.require_next_name(self.client, self.found_pool, self.name)
        step = Step("clone", self._clone) if self.origin else Step("create", self._create)
        before = {"pool": self.pool, "name": self.name, "state": "absent"}
        return Plan(before, self._after(), [step], {"volume": None})

    def _after(self) -> dict[str, Any]:
        backing = self.backing
        return {
            "state": "present",
            "pool": self.pool,
            "name": self.name,
            "capacity": self.capacity,
            "format": self.format,
            "backing": {"path": backing.path, "format": backing.format} if backing else None,
            "permissions": _stated_permissions(self.options) or None,
        }

    def _xml(self) -> str:
        backing = self.backing
        return volume_xml.build(
            self.name,
            self.capacity,
            parse_size(self.options["allocation"]),
            self.format,
            self.options["permissions"],
            {"path": backing.path, "format": backing.format} if backing else None,
        )

    def _create(self) -> None:
        try:
            self.client.create_volume(self.pool, self.name, self._xml())
        except OperationFailed:
            self._look_again()
            raise

    def _clone(self) -> None:
        """Copy, then grow: libvirt copies some formats at the source's capacity."""
        try:
            self.client.clone_volume(self.pool, self.name, self._xml(), self.origin.volume)
        except OperationFailed:
            self._look_again()
            raise
        try:
            made = self.client.find_volume(self.pool, self.name)
            if made and describe.volume(made)["capacity"] < self.capacity:
                self.client.resize_volume(self.pool, self.name, self.capacity, shrink=False)
        except OperationFailed:
            self.client.delete_volume(self.pool, self.name)
            raise

    def _look_again(self) -> None:
        """Let libvirt see a file that was made behind its back and is in the way."""
        with suppress(OperationFailed):
            self.client.refresh_pool(self.pool)


class _Change:
    """The plan for a volume that exists."""

    def __init__(self, client: Client, options: dict[str, Any], pool: Pool, found: Volume) -> None:
        self.client = client
        self.options = options
        self.kind = _kind(pool)
        self.grain = _SECTOR if self.kind in _FILE_POOLS else partition.grain(pool)
        self.found = found
        self.now = describe.volume(found)
        self.steps: list[Step] = []

    def make(self) -> Plan:
        """The plan; refuses what cannot be changed before it holds any step."""
        self._require_same_format()
        self._require_same_backing()
        before = _view(self.now)
        after = dict(before)
        capacity = self._new_capacity()
        if capacity is not None:
            self._require_resizable(capacity)
            after["capacity"] = capacity
            self.steps.append(Step("resize", lambda: self._resize(capacity)))
        permissions = self._new_permissions()
        if permissions:
            after["permissions"] = {**before["permissions"], **permissions}
            self.steps.append(
                Step("permissions", lambda: local.set_permissions(self.found.path, permissions))
            )
        return Plan(before, after, self.steps, {"volume": self.now})

    def _require_same_format(self) -> None:
        wanted, now = self.options["format"], self.now["format"]
        if self.kind in _FILE_POOLS and wanted and wanted != now:
            raise Refused(
                f"Volume {self.found.name!r} is {now}, not {wanted}, and a volume's format cannot "
                "be changed. Make another one with clone, or delete this one first."
            )

    def _require_same_backing(self) -> None:
        if not self.options["backing"]:
            return
        wanted = volume_source.from_backing(self.client, self.options["backing"]).path
        now = self.now["backing"]["path"] if self.now["backing"] else "nothing"
        same = os.path.realpath(wanted) == os.path.realpath(now) and self.client.local
        if wanted != now and not same:
            raise Refused(
                f"Volume {self.found.name!r} lies on {now}, not on {wanted}, and that cannot be "
                "changed. Choose another name, or delete this volume first."
            )

    def _new_capacity(self) -> int | None:
        """The capacity to set, or None where it is right or not stated."""
        if self.options["capacity"] is None:
            return None
        wanted = parse_size(self.options["capacity"])
        return None if 0 <= self.now["capacity"] - wanted < self.grain else wanted

    def _require_resizable(self, capacity: int) -> None:
        name, now = self.found.name, self.now["capacity"]
        change = f"from {format_size(now)} to {format_size(capacity)}"
        if self.kind not in _FILE_POOLS:
            raise Refused(
                f"Volume {name!r} cannot be resized {change}: libvirt does not resize the volumes "
                f"of a pool of type {self.kind}."
            )
        running = usage.domain_users(self.client, self.found, running_only=True)
        if running:
            raise Refused(
                f"Volume {name!r} is not resized {change}: domain {', '.join(running)} runs on it. "
                "Stop the domain, or resize it there with virsh blockresize."
            )
        if capacity > now:
            return
        if not self.options["allow_shrink"]:
            raise Refused(
                f"Volume {name!r} would shrink {change} and lose what is at its end. If that is "
                "meant, set allow_shrink=true."
            )
        overlays = usage.overlays(self.client, self.found)
        if overlays:
            raise Refused(f"Volume {name!r} does not shrink: {', '.join(overlays)} lie on it.")

    def _resize(self, capacity: int) -> None:
        shrink = capacity < self.now["capacity"]
        self.client.resize_volume(self.found.pool, self.found.name, capacity, shrink)

    def _new_permissions(self) -> dict[str, Any]:
        """The stated permissions that are otherwise, where they can be set."""
        stated = _stated_permissions(self.options)
        stated.pop("label", None)
        now = self.now["permissions"] or {}
        if "mode" in stated:
            stated["mode"] = f"{int(stated['mode'], 8):04o}"
        wrong = {key: value for key, value in stated.items() if value != now.get(key)}
        if not wrong or self.kind not in _FILE_POOLS:
            return {}
        if usage.domain_users(self.client, self.found, running_only=True):
            return {}
        if not self.client.local:
            raise Refused(
                f"libvirt cannot change the permissions of the existing volume "
                f"{self.found.name!r}. Use ansible.builtin.file with {self.found.path} on its host."
            )
        return wrong
