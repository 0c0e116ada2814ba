# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fills a volume with a file of the machine where the module runs."""

from __future__ import annotations

from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    OperationFailed,
    Refused,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    content,
    describe,
    image,
    usage,
    volume_kinds,
    volume_part,
    volume_xml,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Pool,
    Volume,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_client import (
    VolumeClient,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import Step
from ansible_collections.polyvisor.compute.plugins.module_utils._units import (
    format_size,
    parse_size,
)


class Upload:
    """A file and the volume that is to hold it.

    :param memory: what this run knows of their content
    :raises Refused: if the file, or what else is stated, makes no sense
    """

    def __init__(
        self, client: VolumeClient, options: dict[str, Any], pool: Pool, memory: content.Memory
    ) -> None:
        self._client = client
        self._options = options
        self._pool = pool
        self._memory = memory
        self._name = options["name"]
        self._is_file = volume_kinds.kind(pool) in volume_kinds.FILE_POOLS
        self.image = image.probe(options["upload"]["src"])
        self._plain = self.image.format in image.PLAIN
        if options["encryption"]:
            raise Refused("An uploaded file is encrypted already, or not: leave encryption out.")
        self._require_stated_format()
        self.capacity = self._capacity()

    @property
    def format(self) -> str | None:
        """The format that the volume will have; None where volumes have none."""
        return self.image.format if self._is_file else None

    @property
    def warnings(self) -> list[str]:
        """What a user may not have thought of."""
        if not self.image.layered:
            return []
        warning = (
            f"{self.image.path} lies on another image, which the volume needs, too, at the same "
            "path on libvirt's machine."
        )
        return [warning]

    def _require_stated_format(self) -> None:
        stated, found = self._options["format"], self.image.format
        if not stated or not self._is_file or stated == found:
            return
        if not (stated in image.PLAIN and self._plain):
            raise Refused(f"{self.image.path} is {found}, not {stated}. Leave format out.")

    def _capacity(self) -> int:
        """The bytes of the volume if it is made."""
        own = self.image.capacity if self._is_file else self.image.length
        if self._options["capacity"] is None:
            return own
        stated = parse_size(self._options["capacity"])
        grain = 1 if self._plain else volume_kinds.grain(self.image.format)
        if own - stated >= grain:
            raise Refused(
                f"capacity={self._options['capacity']} is less than the {format_size(own)} of "
                f"{self.image.path}."
            )
        if stated > own and self._is_file and not self._plain:
            raise Refused(
                f"{self.image.path} is {self.image.format} of {format_size(own)}, and is uploaded "
                "as it is. Leave capacity out; for a larger disk make another volume of it with "
                "backing or clone."
            )
        return max(stated, own)

    # A volume that is not there yet

    def creation(self) -> list[Step]:
        """The steps that make the volume with its content."""
        permissions = self._options["permissions"]
        if not volume_part.renames(self._client, self._pool):
            return [Step("upload", lambda: self._make_in_place(permissions))]
        return [self._by_renaming(permissions, replace=False), self._refresh()]

    def _by_renaming(self, permissions: dict[str, Any] | None, replace: bool) -> Step:
        def apply() -> None:
            with self._memory.changing():
                volume_part.make(
                    self._client,
                    self._pool,
                    self._name,
                    lambda part: self._fill(part, permissions),
                    replace,
                )

        return Step("upload", apply)

    def _refresh(self) -> Step:
        return Step("refresh", lambda: self._client.refresh_pool(self._pool.name), quiet=True)

    @property
    def _size(self) -> int:
        """Bytes of the volume's file or device as it is made."""
        return self.capacity if self._plain or not self._is_file else self.image.length

    def _xml(self, name: str, permissions: dict[str, Any] | None) -> str:
        image_format = "raw" if self._is_file else None
        allocation = volume_kinds.allocation(self._pool, self._size)
        return volume_xml.build(name, self._size, allocation, image_format, permissions)

    def _fill(self, name: str, permissions: dict[str, Any] | None) -> None:
        self._client.create_volume(self._pool.name, name, self._xml(name, permissions))
        self._send(self._client.find_volume(self._pool.name, name))

    def _send(self, volume: Volume | None) -> None:
        if not volume:
            raise OperationFailed("The volume was removed while it was uploaded.", busy=True)
        length = self.image.length
        total = self._size if self._is_file else length
        content.send(self._client, volume, self.image.path, length, total)

    def _make_in_place(self, permissions: dict[str, Any] | None) -> None:
        """Under its own name; removed again if that fails."""
        pool = self._pool.name
        self._client.create_volume(pool, self._name, self._xml(self._name, permissions))
        try:
            with self._memory.changing():
                self._send(self._client.find_volume(pool, self._name))
                self._client.refresh_pool(pool)
        except BaseException:
            self._client.delete_volume(pool, self._name)
            raise

    # A volume that exists

    def is_needed(self, found: Volume) -> bool:
        """Whether a volume does not hold the file and is to."""
        if self._options["upload"]["replace"] == "never":
            return False
        return not self._memory.recall(lambda: self._is_in(found))

    def _is_in(self, found: Volume) -> bool:
        now = describe.volume(found)
        size = now["physical"] if self._is_file and now["physical"] else now["capacity"]
        if size < self.image.length:
            return False
        whole = self._is_file
        return content.holds_file(self._client, found, self.image.path, whole)

    def replacement(self, found: Volume) -> list[Step]:
        """The steps that give a volume the file's content.

        :raises Refused: if something uses the volume, or it would have to be overwritten in place
        """
        self._require_replaceable(found)
        permissions = self._kept_permissions(found)
        if volume_part.renames(self._client, self._pool):
            return [self._by_renaming(permissions, replace=True), self._refresh()]
        if self._options["upload"]["in_place"] and not self._is_file:
            return [Step("upload", lambda: self._overwrite(found))]
        if volume_kinds.kind(self._pool) in volume_kinds.COPYING_POOLS:
            return [Step("upload", lambda: self._by_copying(found, permissions))]
        raise Refused(
            f"Volume {self._name!r} holds something else than {self.image.path}, and a volume of "
            f"a pool of type {volume_kinds.kind(self._pool)} can only be overwritten in place: a "
            "failure half-way would leave it half overwritten. If that is meant, set "
            "upload.in_place=true."
        )

    def _require_replaceable(self, found: Volume) -> None:
        if self._options["upload"]["replace"] == "unused":
            try:
                usage.require_unused(self._client, [found], "overwritten")
            except Refused as refusal:
                raise Refused(
                    f"{refusal} It does not hold {self.image.path}. If the file is to fill only a "
                    "volume that is not there yet, set upload.replace=never."
                ) from refusal
        usage.require_not_running(self._client, found, "overwritten")
        capacity = describe.volume(found)["capacity"]
        if not self._is_file and capacity < self.image.length:
            raise Refused(
                f"{self.image.path} does not fit into volume {self._name!r} of "
                f"{format_size(capacity)}."
            )

    def _kept_permissions(self, found: Volume) -> dict[str, Any]:
        """Those of the volume that goes, but for those that are stated."""
        now = describe.volume(found)["permissions"] or {}
        kept = {key: now.get(key) for key in ("mode", "owner", "group")}
        stated = self._options["permissions"] or {}
        return {**kept, **{key: value for key, value in stated.items() if value is not None}}

    def _overwrite(self, found: Volume) -> None:
        try:
            with self._memory.changing():
                self._send(found)
        except OperationFailed as error:
            raise OperationFailed(
                f"{error} The beginning of volume {self._name!r} is overwritten already.",
                error.code,
            ) from error
        self._client.refresh_pool(self._pool.name)

    def _by_copying(self, found: Volume, permissions: dict[str, Any]) -> None:
        with self._memory.changing():
            volume_part.replace_by_copy(
                self._client,
                found,
                lambda part: self._fill_and_refresh(part, permissions),
                lambda part: self._copy_xml(part, permissions),
            )

    def _fill_and_refresh(self, part: str, permissions: dict[str, Any]) -> None:
        """The daemon has to know the part's format before it copies it."""
        self._fill(part, permissions)
        self._client.refresh_pool(self._pool.name)

    def _copy_xml(self, part: Volume, permissions: dict[str, Any]) -> str:
        """LVM may have rounded the part up, and libvirt makes no copy smaller than that."""
        capacity = self.capacity if self._is_file else describe.volume(part)["capacity"]
        allocation = volume_kinds.allocation(self._pool, capacity)
        return volume_xml.build(self._name, capacity, allocation, self.format, permissions)
