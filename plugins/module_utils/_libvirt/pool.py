# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings one storage pool to its wanted state: wanted, found, plan."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    NotFound,
    OperationFailed,
    Refused,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    describe,
    local,
    pool_removal,
    pool_xml,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.checks import (
    require_mode,
    require_name,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    AlreadyFormatted,
    Client,
    Pool,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import Plan, Step

# Formats that libvirt knows, of the types that lie on a device.
_FORMATS = {
    "fs": (
        *("auto", "ext2", "ext3", "ext4", "ufs", "iso9660", "udf", "gfs", "gfs2", "vfat", "hfs+"),
        *("xfs", "ocfs2", "vmfs"),
    ),
    "disk": ("unknown", "dos", "dvh", "gpt", "mac", "bsd", "pc98", "sun", "lvm2"),
}
_NO_FORMAT = (None, "auto", "unknown")
_PERMISSIONS = "target/permissions/"
# A change of one of these makes the next build one of a new device.
_DEVICE_KEYS = {"type", "source/device", "source/format/@type"}


def plan(client: Client, options: dict[str, Any]) -> Plan:
    """What has to be done to a pool.

    :param options: the parameters of the module libvirt_pool
    :raises Refused: if the options make no sense or are not safe to carry out
    :raises NotFound: if the pool does not exist and the options do not say what it is
    """
    require_name("name", options["name"])
    require_mode((options["target"] or {}).get("permissions"))
    found = client.find_pool(options["name"])
    if options["state"] in ("undefined", "deleted"):
        return pool_removal.plan(client, options, found)
    return _PoolPlan(client, options, found).make()


def _type(definition: ET.Element | None) -> str | None:
    return None if definition is None else definition.get("type")


class _PoolPlan:
    """The plan for a pool that is to be there, active or inactive."""

    def __init__(self, client: Client, options: dict[str, Any], found: Pool | None) -> None:
        self.client = client
        self.name = options["name"]
        self.found = found
        self.options = options
        self.definition = ET.fromstring(found.definition) if found else None
        self.kind = options["type"] or _type(self.definition)
        if not self.kind:
            names = ", ".join(pool.name for pool in client.pools()) or "none"
            raise NotFound(
                f"There is no pool {self.name!r} (there are: {names}). To make it, say what it "
                "is: type, target and, for fs and disk, source."
            )
        self.source = options["source"] or {}
        self.target = dict(options["target"] or {})
        if self.kind == "disk" and self.kind != _type(self.definition):
            self.target["path"] = self.target.get("path") or "/dev"
        self.wanted_xml = pool_xml.build(self.name, self.kind, self.source, self.target)
        self.wanted = self._compared()
        self.defined = pool_xml.meaning(self.definition) if self.definition is not None else {}
        self.live = pool_xml.meaning(ET.fromstring(found.live)) if found else {}
        self.changes = pool_xml.differences(self.wanted, self.defined)
        self.steps: list[Step] = []

    def _compared(self) -> pool_xml.Meaning:
        """What is wanted, without what no build can bring about."""
        wanted = pool_xml.meaning(self.wanted_xml)
        if self.kind != "dir" or self.options["build"] == "never":
            return {key: value for key, value in wanted.items() if _PERMISSIONS not in key}
        return wanted

    def make(self) -> Plan:
        """The plan; refuses what is not safe before it holds any step."""
        if "type" in self.changes:
            self._require_complete()
        self._require_known_format()
        if self.changes:
            self._require_unclaimed()
            if self.client.local:
                self._require_usable()
        restart = bool(self._stale()) and self.options["restart"]
        if not self.found:
            self._add_new()
        else:
            self._add_changes(restart)
        autostart = self._autostart()
        if autostart is not None:
            self._add("autostart", lambda: self.client.set_autostart(self.name, autostart))
        if self.options["refresh"] and self.found and self.found.active and self._to_be_active():
            self._add("refresh", lambda: self.client.refresh_pool(self.name), quiet=True)
        stale = self._stale() if not restart and self._to_be_active() else set()
        before = self._before()
        return Plan(
            before,
            self._after(before, stale),
            self.steps,
            {
                "pool": describe.pool(self.found) if self.found else None,
                "restart_required": bool(stale),
            },
            self._warnings(stale),
        )

    # What is refused

    def _require_complete(self) -> None:
        path = self.target.get("path")
        if not path:
            raise Refused(f"A pool of type {self.kind} needs target.path.")
        if not path.startswith("/"):
            raise Refused(f"target.path={path!r} is not absolute.")
        devices = self.source.get("devices") or []
        if self.kind in _FORMATS and len(devices) != 1:
            raise Refused(f"A pool of type {self.kind} needs one device in source.devices.")
        if self.kind == "dir" and any(self.source.values()):
            raise Refused("A pool of type dir has no source.")

    def _require_known_format(self) -> None:
        known, stated = _FORMATS.get(self.kind, ()), self.source.get("format")
        if stated and known and stated not in known:
            raise Refused(
                f"source.format={stated!r} is none that a pool of type {self.kind} can have. "
                f"There are: {', '.join(known)}."
            )

    def _require_unclaimed(self) -> None:
        """Refuse a path or device that another pool has."""
        claims = self._claims(self.wanted)
        for other in self.client.pools():
            if other.name == self.name:
                continue
            theirs = [
                self._claims(pool_xml.meaning(ET.fromstring(xml)))
                for xml in (other.definition, other.live)
            ]
            shared = claims & set().union(*theirs)
            if shared:
                raise Refused(
                    f"Pool {self.name!r} cannot use {', '.join(sorted(shared))}: pool "
                    f"{other.name!r} ({other.state}) has it. Use that pool, choose something "
                    f"else, or undefine {other.name!r} first (its data stays)."
                )

    def _claims(self, meaning: pool_xml.Meaning) -> set[str]:
        """The paths that a pool has for itself."""
        claims = set(meaning.get("source/device", ()))
        path = meaning.get("target/path")
        if path and not f"{path}/".startswith("/dev/"):
            claims.add(str(path))
        return {os.path.realpath(claim) for claim in claims} if self.client.local else claims

    def _require_usable(self) -> None:
        """Refuse a directory or device of this machine that cannot serve, or carries data."""
        path = self.target.get("path")
        if path and self.kind in ("dir", "fs") and "target/path" in self.changes:
            local.require_directory(path, self.options["build"] != "never")
        if not self.changes & _DEVICE_KEYS:
            return
        for device in self.source.get("devices") or ():
            local.require_block_device(device)
            local.require_free(device, self._own_mount_point())
            carried = local.signature(device, prefer_table=self.kind == "disk")
            wanted = self.source.get("format")
            if carried and carried != wanted and self.options["build"] != "overwrite":
                self._refuse_carried(device, carried)
            if not carried and self.options["build"] == "never" and self._to_be_active():
                raise Refused(
                    f"The device {device} carries no {wanted or 'file system'}. Format it, or "
                    "let build=if_needed do it."
                )

    def _own_mount_point(self) -> str | None:
        """Where the device may be mounted: by this pool, or to be taken as it is."""
        stopped_first = self.found and self.found.active
        if self.options["build"] == "overwrite" and not stopped_first:
            return None
        return str(self.wanted.get("target/path") or self.defined.get("target/path"))

    def _refuse_carried(self, device: str, carried: str) -> None:
        """A device with something else on it than the pool's format."""
        wanted = self.source.get("format")
        if self.kind == "fs" and wanted in _NO_FORMAT and carried not in _FORMATS["disk"]:
            return
        raise Refused(
            f"The device {device} carries {carried}, and the pool wants "
            f"{wanted or 'another format'}. Choose another device, state the format that is "
            "there, or lose what is on the device with build=overwrite."
        )

    # What is done

    def _add_new(self) -> None:
        xml = ET.tostring(self.wanted_xml, encoding="unicode")
        define = Step(
            "define",
            lambda: self.client.define_pool(self.name, xml),
            lambda: self.client.undefine_pool(self.name),
        )
        if not self._to_be_active():
            self.steps.append(define)
            if self.options["build"] != "never":
                self._add("build", self._build, quiet=True)
            return
        self._add("create", lambda: self._create(xml), self._destroy)
        self._add("define", self._make_persistent)

    def _create(self, xml: str) -> None:
        """Build and start in one call, so that a failure leaves no pool behind."""
        mode = self._build_mode()
        try:
            self.client.create_pool(self.name, xml, mode)
        except AlreadyFormatted:
            mode = "directory" if self.kind == "fs" else "none"
            self.client.create_pool(self.name, xml, mode)

    def _destroy(self) -> None:
        pool = self.client.find_pool(self.name)
        if pool and pool.active and not pool.persistent:
            self.client.stop_pool(self.name)

    def _make_persistent(self) -> None:
        created = self.client.find_pool(self.name)
        if created:
            ET.SubElement(self.wanted_xml, "uuid").text = created.uuid
            xml = ET.tostring(self.wanted_xml, encoding="unicode")
            self.client.define_pool(self.name, xml)

    def _build_mode(self) -> str:
        if self.options["build"] == "never":
            return "none"
        if self.kind not in _FORMATS or self.source.get("format") in _NO_FORMAT:
            return "directory"
        fresh = bool(self.changes & _DEVICE_KEYS)
        return "overwrite" if self.options["build"] == "overwrite" and fresh else "empty"

    def _build(self) -> None:
        try:
            self.client.build_pool(self.name, self._build_mode())
        except AlreadyFormatted:
            if self.kind == "fs":
                self.client.build_pool(self.name, "directory")

    def _add_changes(self, restart: bool) -> None:
        found = self.found
        redefine = bool(self.changes) or not found.persistent
        start = self._to_be_active() and (restart or not found.active)
        if restart and found.active and self._to_be_active():
            self._add(
                "stop",
                lambda: self.client.stop_pool(self.name),
                lambda: self.client.start_pool(self.name),
            )
        if redefine:
            self._add_redefinition()
        if found.active and not self._to_be_active():
            self._add("stop", lambda: self.client.stop_pool(self.name))
        if self._has_to_be_built(redefine, restart, start):
            self._add("build", self._build, quiet=True)
        if start:
            self._add("start", self._start)

    def _has_to_be_built(self, redefine: bool, restart: bool, start: bool) -> bool:
        """Whether to build before the start, rather than only if that fails."""
        if self.options["build"] == "never":
            return False
        if not start:
            return redefine and not self.found.active
        return redefine or restart or any(_PERMISSIONS in key for key in self.wanted)

    def _start(self) -> None:
        """Start; a pool whose directory or format is missing is built first."""
        try:
            self.client.start_pool(self.name)
        except OperationFailed as error:
            if self.options["build"] == "never" or error.busy:
                raise
            self._build()
            self.client.start_pool(self.name)

    def _add_redefinition(self) -> None:
        old = self.found.definition
        if {"type"} & self.changes:
            changed = self.wanted_xml
            ET.SubElement(changed, "uuid").text = self.found.uuid
        else:
            changed = self.definition
            pool_xml.amend(changed, self.wanted_xml)
        new = ET.tostring(changed, encoding="unicode")
        undo = (lambda: self.client.define_pool(self.name, old)) if self.found.persistent else None
        self._add("define", lambda: self.client.define_pool(self.name, new), undo)

    def _add(self, name: str, apply: Any, undo: Any = None, quiet: bool = False) -> None:
        self.steps.append(Step(name, apply, undo, quiet))

    # What is told

    def _to_be_active(self) -> bool:
        return self.options["state"] == "active"

    def _stale(self) -> set[str]:
        """What a running pool does otherwise than its options say."""
        if not self.found or not self.found.active:
            return set()
        return pool_xml.differences(self.wanted, self.live)

    def _autostart(self) -> bool | None:
        """The autostart to set, or None where it is right or not stated."""
        wanted = self.options["autostart"]
        now = bool(self.found and self.found.autostart)
        return wanted if wanted is not None and wanted != now else None

    def _before(self) -> dict[str, Any]:
        if not self.found:
            return {"name": self.name, "state": "undefined"}
        return {
            "name": self.name,
            "state": "active" if self.found.active else "inactive",
            "persistent": self.found.persistent,
            "autostart": self.found.autostart,
            "definition": {key: self.defined.get(key) for key in sorted(self.wanted)},
            "restart_required": self.found.active and self._defined_otherwise_than_live(),
        }

    def _defined_otherwise_than_live(self) -> bool:
        return any(self.defined.get(key) != self.live.get(key) for key in self.wanted)

    def _after(self, before: dict[str, Any], stale: set[str]) -> dict[str, Any]:
        wanted = self.options["autostart"]
        return {
            "name": self.name,
            "state": self.options["state"],
            "persistent": True,
            "autostart": before.get("autostart", False) if wanted is None else wanted,
            "definition": {key: self.wanted[key] for key in sorted(self.wanted)},
            "restart_required": bool(stale),
        }

    def _warnings(self, stale: set[str]) -> list[str]:
        if not stale:
            return []
        warning = (
            f"Pool {self.name!r} runs with its former {', '.join(sorted(stale))} until it is "
            "restarted. To do that now, set restart=true."
        )
        return [warning]
