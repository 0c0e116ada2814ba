# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings one storage pool to its wanted state: wanted, found, plan.

What only a change needs is imported when there is one: most runs change nothing, and a target
compiles what is imported anew in each of them.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    describe,
    pool_definition,
    pool_meaning,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.checks import (
    require_mode,
    require_name,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Client,
    Pool,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.pool_types import (
    require_format,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import Plan, Step


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
        from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import pool_removal

        return pool_removal.plan(client, options, found)
    if options["type"]:
        require_format(options["type"], _stated_format(options))
    while True:
        try:
            return _PoolPlan(client, options, found).make()
        except Refused:
            # Another run that makes the pool has its device in use before it is done.
            seen, found = found, client.find_pool(options["name"])
            if bool(seen) == bool(found):
                raise


def _stated_format(options: dict[str, Any]) -> str | None:
    return (options["source"] or {}).get("format")


class _PoolPlan:
    """The plan for a pool that is to be there, active or inactive."""

    def __init__(self, client: Client, options: dict[str, Any], found: Pool | None) -> None:
        self.client = client
        self.name = options["name"]
        self.found = found
        self.options = options
        self.definition = pool_definition.compare(client, options, found)
        self.changes = self.definition.changes
        self.to_be_active = options["state"] == "active"
        self.steps: list[Step] = []

    def make(self) -> Plan:
        """The plan.

        :raises Refused: if what has to be changed is not safe
        """
        restart = bool(self.definition.stale) and self.options["restart"]
        if self._differs() or restart:
            self._change(restart and self.to_be_active)
        autostart = self._autostart()
        if autostart is not None:
            self.steps.append(
                Step("autostart", lambda: self.client.set_autostart(self.name, autostart))
            )
        if self.options["refresh"] and self.found and self.found.active and self.to_be_active:
            refresh = Step("refresh", lambda: self.client.refresh_pool(self.name), quiet=True)
            self.steps.append(refresh)
        stale = self.definition.stale if self.to_be_active and not restart else set()
        facts = {
            "pool": describe.pool(self.found) if self.found else None,
            "restart_required": bool(stale),
        }
        before = self._before()
        after = self._after(before, stale)
        return Plan(before, after, self.steps, facts, self._warnings(stale))

    def _differs(self) -> bool:
        """Whether the pool is not there, or not as it is to be but for its autostart."""
        found = self.found
        return bool(
            self.changes
            or not found
            or not found.persistent
            or found.active is not self.to_be_active
        )

    def _change(self, restart: bool) -> None:
        from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import pool_steps

        self.steps += pool_steps.of_change(
            self.client, self.options, self.found, self.definition, restart
        )

    # What is told

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
            "definition": self._told(self.definition.defined),
            "restart_required": self.definition.was_stale,
        }

    def _told(self, meaning: pool_meaning.Meaning) -> dict[str, Any]:
        """A definition for the diff, without what is not compared."""
        wanted, defined = self.definition.wanted, self.definition.defined
        return {
            key: meaning[key]
            for key in sorted(meaning)
            if key in self.changes or defined.get(key) == wanted.get(key)
        }

    def _after(self, before: dict[str, Any], stale: set[str]) -> dict[str, Any]:
        wanted = self.options["autostart"]
        return {
            "name": self.name,
            "state": self.options["state"],
            "persistent": True,
            "autostart": before.get("autostart", False) if wanted is None else wanted,
            "definition": self._told(self.definition.wanted),
            "restart_required": bool(stale),
        }

    def _warnings(self, stale: set[str]) -> list[str]:
        if not stale:
            return []
        names = sorted({pool_meaning.option_name(key) for key in stale})
        warning = (
            f"Pool {self.name!r} runs with its former {', '.join(names)} until it is "
            "restarted. To do that now, set restart=true."
        )
        return [warning]
