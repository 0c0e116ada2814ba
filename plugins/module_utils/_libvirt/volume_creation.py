# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for a volume that is not there yet."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
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
    volume_xml,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Pool,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.pool_types import type_of
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_client import (
    VolumeClient,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_upload import (
    Upload,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import Plan, Step
from ansible_collections.polyvisor.compute.plugins.module_utils._units import (
    format_size,
    parse_size,
)


class Creation:
    """How to make a volume: empty, from a file, as a copy, or on top of another image.

    :param upload: the file, where there is one
    """

    def __init__(
        self, client: VolumeClient, options: dict[str, Any], pool: Pool, upload: Upload | None
    ) -> None:
        self.client = client
        self.found_pool = pool
        self.pool = pool.name
        self.name = options["name"]
        self.options = options
        self.kind = volume_kinds.kind(pool)
        self.is_file = self.kind in volume_kinds.FILE_POOLS
        if not type_of(self.kind).makes_volumes:
            raise Refused(
                f"There is no volume {self.name!r} in pool {self.pool!r}, and libvirt makes none in "
                f"a pool of type {self.kind}. Make it where the storage is, then refresh the pool: "
                "libvirt_pool with refresh=true."
            )
        self.upload = upload
        clone, backing = options["clone"], options["backing"]
        self.origin = volume_source.from_volume(client, **clone) if clone else None
        self.backing = volume_source.from_backing(client, backing) if backing else None
        self.format = upload.format if upload else self._format()
        self.capacity = upload.capacity if upload else self._capacity()

    def _format(self) -> str | None:
        """The stated format, or the one that goes without saying."""
        if self.backing and not self.is_file:
            raise Refused(f"A pool of type {self.kind} holds no copy-on-write volumes.")
        if self.options["format"]:
            wanted = self.options["format"]
        elif not self.is_file:
            return None
        elif self.backing:
            wanted = "qcow2"
        else:
            wanted = self.origin.format if self.origin else "raw"
        if self.is_file and wanted not in volume_kinds.CREATABLE:
            raise Refused(
                f"libvirt makes no volume of format {wanted!r}. It does make: "
                f"{', '.join(volume_kinds.CREATABLE)}."
            )
        if self.backing and wanted not in volume_kinds.LAYERED:
            raise Refused(
                f"A volume of format {wanted} cannot lie on another one. Formats that can: "
                f"{', '.join(volume_kinds.LAYERED)}; or make a full copy with clone."
            )
        if self.options["encryption"] and wanted not in (None, "raw", "qcow2"):
            raise Refused(f"A volume of format {wanted} cannot be encrypted: only raw and qcow2.")
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
        """The plan."""
        volume_source.require_secret(self.client, self.options["encryption"])
        if self.kind == "disk":
            partition.require_next_name(self.client, self.found_pool, self.name)
        before = {"pool": self.pool, "name": self.name, "state": "absent"}
        return Plan(before, self._after(), self._steps(), {"volume": None}, self._warnings())

    def _steps(self) -> list[Step]:
        clean_up = volume_part.clean_up(self.client, self.found_pool, self.name)
        if self.upload:
            return [*self.upload.creation(), *clean_up]
        if not self.origin:
            steps = [Step("create", self._create)]
            if self.options["wipe"] and not self.is_file:
                steps.append(Step("wipe", self._wipe))
            return [*steps, *clean_up]
        if not volume_part.renames(self.client, self.found_pool):
            return [Step("clone", lambda: self._clone(self.name)), *clean_up]
        refresh = Step("refresh", lambda: self.client.refresh_pool(self.pool), quiet=True)
        return [Step("clone", self._clone_and_rename), refresh, *clean_up]

    def _warnings(self) -> list[str]:
        if self.upload:
            return self.upload.warnings
        source = (self.origin or self.backing) and (self.origin or self.backing).volume
        running = usage.domain_users(self.client, source, running_only=True) if source else []
        if not running:
            return []
        warning = (
            f"Domain {', '.join(running)} runs on {source.pool}/{source.name} and may write to it "
            "meanwhile, so that what is made of it may be inconsistent."
        )
        return [warning]

    def _after(self) -> dict[str, Any]:
        backing, encryption = self.backing, self.options["encryption"]
        stated = self.options["permissions"] or {}
        after = {
            "state": "present",
            "pool": self.pool,
            "name": self.name,
            "capacity": self.capacity,
            "format": self.format,
            "backing": {"path": backing.path, "format": backing.format} if backing else None,
            "encryption": encryption["format"] if encryption else None,
            "permissions": {k: v for k, v in stated.items() if v is not None} or None,
        }
        if self.upload:
            after["content"] = f"as {self.upload.image.path}"
        return after

    def _xml(self, name: str) -> str:
        backing = self.backing
        return volume_xml.build(
            name,
            self.capacity,
            volume_kinds.allocation(self.found_pool, self.capacity, self.options["allocation"]),
            self.format,
            self.options["permissions"],
            {"path": backing.path, "format": backing.format} if backing else None,
            self.options["encryption"],
        )

    def _create(self) -> None:
        try:
            self.client.create_volume(self.pool, self.name, self._xml(self.name))
        except OperationFailed:
            self._look_again()
            raise

    def _wipe(self) -> None:
        """What lay there before is not part of a new volume."""
        try:
            self.client.wipe_volume(self.pool, self.name, self.options["wipe"])
        except OperationFailed:
            self.client.delete_volume(self.pool, self.name)
            raise

    def _clone_and_rename(self) -> None:
        volume_part.make(self.client, self.found_pool, self.name, self._clone, replace=False)

    def _clone(self, name: str) -> None:
        """Copy, then grow: libvirt copies some formats at the source's capacity."""
        try:
            self.client.clone_volume(self.pool, name, self._xml(name), self.origin.volume)
        except OperationFailed:
            self._look_again()
            raise
        try:
            made = self.client.find_volume(self.pool, name)
            if made and describe.volume(made)["capacity"] < self.capacity:
                self.client.resize_volume(self.pool, name, self.capacity, shrink=False)
        except OperationFailed:
            self.client.delete_volume(self.pool, name)
            raise

    def _look_again(self) -> None:
        """Let libvirt see a file that was made behind its back and is in the way."""
        with suppress(OperationFailed):
            self.client.refresh_pool(self.pool)
