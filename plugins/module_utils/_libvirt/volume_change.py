# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for a volume that exists."""

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
    image,
    partition,
    usage,
    volume_group,
    volume_kinds,
    volume_part,
    volume_source,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Pool,
    Volume,
)
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


class Change:
    """What there is to do to a volume.

    :param upload: the file that it is to hold, where there is one
    :param zero: what this run knows of whether the volume is all zeros
    """

    def __init__(
        self,
        client: VolumeClient,
        options: dict[str, Any],
        pool: Pool,
        found: Volume,
        upload: Upload | None,
        zero: content.Memory,
    ) -> None:
        self.client = client
        self.options = options
        self.pool = pool
        self.is_file = volume_kinds.kind(pool) in volume_kinds.FILE_POOLS
        self.found = found
        self.now = describe.volume(found)
        self.upload = upload
        self.zero = zero
        self.before = describe.volume_view(self.now)
        self.after = dict(self.before)
        self.steps: list[Step] = []

    def make(self) -> Plan:
        """The plan; refuses what cannot be changed before it holds any step."""
        if self.upload and self.upload.is_needed(self.found):
            self._replace()
        else:
            self._adjust()
        self.steps += volume_part.clean_up(self.client, self.pool, self.found.name)
        warnings = self.upload.warnings if self.upload else []
        return Plan(self.before, self.after, self.steps, {"volume": self.now}, warnings)

    def _replace(self) -> None:
        """Give the volume another content, and with it size and format."""
        self.steps += self.upload.replacement(self.found)
        path = self.upload.image.path
        self.before["content"], self.after["content"] = f"not as {path}", f"as {path}"
        if self.is_file:
            self.after |= {"capacity": self.upload.capacity, "format": self.upload.format}
            self.after |= {"backing": None, "encryption": None}

    def _adjust(self) -> None:
        self._require_same_format()
        self._require_same_backing()
        self._require_same_encryption()
        capacity = self._new_capacity()
        if capacity is not None:
            self._require_resizable(capacity)
            self.after["capacity"] = capacity
            self.steps.append(Step("resize", lambda: self._resize(capacity)))
        permissions = self._new_permissions()
        if permissions:
            self.after["permissions"] = {**self.before["permissions"], **permissions}
            self.steps.append(
                Step("permissions", lambda: set_permissions(self.found.path, permissions))
            )
        if self.options["wipe"]:
            self._plan_wipe(self.options["wipe"])

    def _plan_wipe(self, algorithm: str) -> None:
        name = self.found.name
        if (self.is_file and self.now["format"] not in image.PLAIN) or self.now["encryption"]:
            shown = self.now["encryption"] or self.now["format"]
            raise Refused(
                f"Volume {name!r} is {shown}: wiped, it would be no such image any more. To "
                "destroy what it holds, set state=absent beside wipe, then make it anew."
            )
        if algorithm == "zero" and self.zero.recall(
            lambda: content.is_zero(self.client, self.found)
        ):
            return
        usage.require_unused(self.client, [self.found], "wiped")
        self.before["content"], self.after["content"] = "any", f"wiped ({algorithm})"
        self.steps.append(Step("wipe", lambda: self._wipe(algorithm)))

    def _wipe(self, algorithm: str) -> None:
        self.zero.same = None
        self.client.wipe_volume(self.found.pool, self.found.name, algorithm)

    def _require_same_encryption(self) -> None:
        wanted = self.options["encryption"]
        if wanted and wanted["format"] != self.now["encryption"]:
            raise Refused(
                f"Volume {self.found.name!r} is not encrypted with {wanted['format']}, and that "
                "cannot be changed. Make another one with clone, or delete this one first."
            )

    def _require_same_format(self) -> None:
        wanted, now = self.options["format"], self.now["format"]
        same = wanted == now or (wanted in image.PLAIN and now in image.PLAIN)
        if self.is_file and wanted and not same:
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
        return None if 0 <= self.now["capacity"] - wanted < self._grain() else wanted

    def _grain(self) -> int:
        """The bytes by which the capacity is otherwise than asked for at least, if it is."""
        if self.is_file:
            return volume_kinds.grain(self.now["format"])
        if volume_kinds.kind(self.pool) == "logical":
            return volume_group.grain(self.pool, self.found)
        return partition.grain(self.pool)

    def _require_resizable(self, capacity: int) -> None:
        name, now = self.found.name, self.now["capacity"]
        change = f"from {format_size(now)} to {format_size(capacity)}"
        if not self.is_file:
            raise Refused(
                f"Volume {name!r} cannot be resized {change}: libvirt does not resize the volumes "
                f"of a pool of type {volume_kinds.kind(self.pool)}."
            )
        if self.now["encryption"] and self.found.root.find("target/encryption/secret") is None:
            raise Refused(
                f"Volume {name!r} cannot be resized {change}: it is encrypted, and libvirt forgets "
                "with which secret when it refreshes the pool. Resize it with qemu-img."
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
        options = self.options["permissions"] or {}
        stated = {k: v for k, v in options.items() if v is not None and k != "label"}
        now = self.now["permissions"] or {}
        if "mode" in stated:
            stated["mode"] = f"{int(stated['mode'], 8):04o}"
        wrong = {key: value for key, value in stated.items() if value != now.get(key)}
        if not wrong or not self.is_file:
            return {}
        if usage.domain_users(self.client, self.found, running_only=True):
            return {}
        if not self.client.local:
            raise Refused(
                f"libvirt cannot change the permissions of the existing volume "
                f"{self.found.name!r}. Use ansible.builtin.file with {self.found.path} on its host."
            )
        return wrong


def set_permissions(path: str, permissions: dict[str, Any]) -> None:
    """Give a file the stated mode (octal string), owner and group (numbers).

    :raises OperationFailed: if the system refuses
    """
    try:
        if "owner" in permissions or "group" in permissions:
            os.chown(path, permissions.get("owner", -1), permissions.get("group", -1))
        if "mode" in permissions:
            os.chmod(path, int(permissions["mode"], 8))
    except OSError as error:
        raise OperationFailed(
            f"Could not set the permissions of {path}: {error.strerror}", error.errno
        ) from error
