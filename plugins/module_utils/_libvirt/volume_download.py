# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes a volume to a file of the machine where the module runs."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    OperationFailed,
    Refused,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    content,
    describe,
    usage,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Volume,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_client import (
    VolumeClient,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import Plan, Step


class Download:
    """A volume and the file that is to hold it.

    :param memory: what this run knows of their content
    :raises Refused: if the file cannot be written
    """

    def __init__(
        self, client: VolumeClient, options: dict[str, Any], memory: content.Memory
    ) -> None:
        self._client = client
        self._pool = options["pool"]
        self._name = options["name"]
        self._memory = memory
        self._path = options["download"]["dest"]
        self._force = options["download"]["force"]
        self._require_writable()

    def _require_writable(self) -> None:
        where = "on the machine where the module runs"
        if os.path.isdir(self._path):
            raise Refused(f"{self._path} is a directory {where}. Say which file in it.")
        if os.path.lexists(self._path) and not os.path.isfile(self._path):
            raise Refused(f"{self._path} is no regular file {where}.")
        directory = os.path.dirname(self._path) or "."
        if not os.path.isdir(directory):
            raise Refused(f"There is no directory {directory} {where}.")
        if not os.access(directory, os.W_OK | os.X_OK):
            raise Refused(f"The directory {directory} {where} may not be written to.")

    def add_to(self, plan: Plan, found: Volume | None) -> None:
        """Add the step to the plan of the volume, if the file does not hold it already.

        :param found: the volume as it is; None if the plan makes it
        """
        changes = [step for step in plan.steps if not step.quiet]
        there = os.path.exists(self._path)
        if there and not self._force:
            return
        if found and not changes and self._memory.recall(lambda: self._is_there(found)):
            return
        plan.before["download"] = f"{self._path} {'differs' if there else 'is not there'}"
        plan.after["download"] = f"{self._path} is the same"
        plan.steps.append(Step("download", self._fetch))
        running = usage.domain_users(self._client, found, running_only=True) if found else []
        if running:
            plan.warnings.append(
                f"Domain {', '.join(running)} runs on {self._pool}/{self._name} and may write to "
                "it meanwhile, so that the file may be inconsistent."
            )

    def _is_there(self, found: Volume) -> bool:
        length = describe.volume(found)["physical"]
        if length and os.path.exists(self._path) and os.path.getsize(self._path) != length:
            return False
        return content.is_file(self._client, found, self._path)

    def _fetch(self) -> None:
        found = self._client.find_volume(self._pool, self._name)
        if not found:
            raise OperationFailed(f"Volume {self._name!r} was removed meanwhile.", busy=True)
        with self._memory.changing():
            content.fetch(self._client, found, self._path)
