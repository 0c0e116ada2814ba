# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that make a storage pool, or make another one of it."""

from __future__ import annotations

from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    OperationFailed,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    pool_checks,
    pool_meaning,
    pool_xml,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    AlreadyFormatted,
    Client,
    Pool,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.pool_definition import (
    Definition,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.pool_types import (
    NO_FORMAT,
    require_format,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import Step


def of_change(
    client: Client,
    options: dict[str, Any],
    found: Pool | None,
    definition: Definition,
    restart: bool,
) -> list[Step]:
    """What has to be done so that a pool is defined, and active or not, as it is to be.

    :param options: the parameters of the module libvirt_pool
    :param restart: whether a running pool is to stop and start with its new definition
    :raises Refused: if that is not safe
    """
    change = _Change(client, options, found, definition)
    change.make(restart)
    return change.steps


class _Change:
    """The steps from a pool as it is to what it is to be."""

    def __init__(
        self, client: Client, options: dict[str, Any], found: Pool | None, definition: Definition
    ) -> None:
        self.client = client
        self.name = options["name"]
        self.found = found
        self.options = options
        self.definition = definition
        self.changes = definition.changes
        self.to_be_active = options["state"] == "active"
        self.steps: list[Step] = []

    def make(self, restart: bool) -> None:
        """Add the steps; refuses what is not safe before there is any."""
        if self.changes:
            self._refuse()
        if not self.found:
            self._add_new()
        else:
            self._add_changes(restart)

    def _refuse(self) -> None:
        """Refuse a new or changed definition that is not safe to carry out."""
        if "type" in self.changes:
            pool_checks.require_supported(self.client, self.definition.kind)
        require_format(self.definition.kind, (self.options["source"] or {}).get("format"))
        pool_checks.require_unclaimed(self.client, self.name, self.definition.wanted)
        only_defined = self.options["build"] == "never" and not self.to_be_active
        if self.client.local and not only_defined:
            # ZFS itself refuses devices that are not empty.
            taken = self.definition.kind == "zfs" or self._group_exists()
            pool_checks.require_usable(self.definition, self.found, self.options, taken)

    def _add_new(self) -> None:
        if not self.to_be_active:
            self._add("define", self._define, lambda: self.client.undefine_pool(self.name))
            if self._build_mode() != "none" and self.definition.type.builds != "group":
                self._add("build", self._build, quiet=True)
            return
        self._add("create", self._create, self._destroy)
        self._add("define", self._make_persistent)

    def _define(self) -> None:
        self.client.define_pool(self.name, self.definition.xml)

    def _restore(self) -> None:
        self.client.define_pool(self.name, self.found.definition)

    def _create(self) -> None:
        """Build and start in one call, so that a failure leaves no pool behind."""
        xml, mode = self.definition.xml, self._build_mode()
        first = "none" if self.definition.type.builds == "group" else mode
        try:
            self.client.create_pool(self.name, xml, first)
            return
        except AlreadyFormatted:
            mode = "directory" if self.definition.kind == "fs" else "none"
        except OperationFailed as error:
            if first == mode or error.busy or self._group_exists():
                raise
        self.client.create_pool(self.name, xml, mode)

    def _destroy(self) -> None:
        pool = self.client.find_pool(self.name)
        if pool and pool.active and not pool.persistent:
            self.client.stop_pool(self.name)

    def _make_persistent(self) -> None:
        created = self.client.find_pool(self.name)
        if created:
            pool_xml.set_uuid(self.definition.root, created.uuid)
            self._define()

    def _group_exists(self) -> bool:
        """Whether what a build would make of the devices, a volume group, is there already."""
        if self.definition.kind != "logical" or not self.definition.devices():
            return False
        return self.definition.text("source/name") in self.client.volume_groups()

    def _build_mode(self) -> str:
        """How to build before a start: ``none``, or a mode of the client's build_pool."""
        kind, builds = self.definition.kind, self.definition.type.builds
        if self.options["build"] == "never" or builds == "nothing":
            return "none"
        if builds == "group" and not self.definition.devices():
            return "none"
        of_format = self.definition.text(pool_meaning.FORMAT)
        if builds == "directory" or kind == "zfs" or of_format in NO_FORMAT:
            return "directory"
        fresh = bool(self.changes & pool_meaning.DEVICE_KEYS)
        return "overwrite" if self.options["build"] == "overwrite" and fresh else "empty"

    def _build(self) -> None:
        mode = self._build_mode()
        if mode == "none":
            return
        try:
            self.client.build_pool(self.name, mode)
        except AlreadyFormatted:
            if self.definition.kind == "fs":
                self.client.build_pool(self.name, "directory")

    def _add_changes(self, restart: bool) -> None:
        found = self.found
        redefine = bool(self.changes) or not found.persistent
        start = self.to_be_active and (restart or not found.active)
        if restart and found.active:
            self._add(
                "stop",
                lambda: self.client.stop_pool(self.name),
                lambda: self.client.start_pool(self.name),
            )
        if redefine:
            self._add("define", self._define, self._restore if found.persistent else None)
        if found.active and not self.to_be_active:
            self._add("stop", lambda: self.client.stop_pool(self.name))
        if self._has_to_be_built(redefine, restart, start):
            self._add("build", self._build, quiet=True)
        if start:
            self._add("start", self._start)

    def _has_to_be_built(self, redefine: bool, restart: bool, start: bool) -> bool:
        """Whether to build before the start, rather than only if that fails."""
        if self.options["build"] == "never" or self.definition.type.builds in ("nothing", "group"):
            return False
        if not start:
            return redefine and not self.found.active
        return redefine or restart or self._states_permissions()

    def _states_permissions(self) -> bool:
        permissions = (self.options["target"] or {}).get("permissions")
        return any(value is not None for value in (permissions or {}).values())

    def _start(self) -> None:
        """Start; a pool whose directory, format or group is missing is built first."""
        try:
            self.client.start_pool(self.name)
        except OperationFailed as error:
            if self._build_mode() == "none" or error.busy or self._group_exists():
                raise
            self._build()
            self.client.start_pool(self.name)

    def _add(self, name: str, apply: Any, undo: Any = None, quiet: bool = False) -> None:
        self.steps.append(Step(name, apply, undo, quiet))
