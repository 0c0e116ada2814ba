# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The definition that a pool is to have, beside the ones that it has."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any, NamedTuple

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    NotFound,
    Refused,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import (
    pool_meaning,
    pool_xml,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Client,
    Pool,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.pool_types import (
    PoolType,
    type_of,
)


class Definition(NamedTuple):
    """What is wanted and what is there, as XML and as what it means.

    :param root: the whole definition that the pool is to have
    :param wanted: what it means
    :param defined: what the stored definition means; empty if there is none
    :param live: what the running pool means; empty if it does not run
    :param changes: the keys in which the stored definition is another
    :param stale: the keys in which the running pool is another
    :param was_stale: whether the running pool is another than the stored definition
    """

    kind: str
    root: ET.Element
    wanted: pool_meaning.Meaning
    defined: pool_meaning.Meaning
    live: pool_meaning.Meaning
    changes: set[str]
    stale: set[str]
    was_stale: bool

    @property
    def type(self) -> PoolType:
        """What is special about pools of this type."""
        return type_of(self.kind)

    @property
    def xml(self) -> str:
        """The whole definition as text."""
        return ET.tostring(self.root, encoding="unicode")

    def devices(self) -> list[str]:
        """The source's devices; for iSCSI the name of the target."""
        return list(self.wanted.get(pool_meaning.DEVICES, ()))

    def text(self, key: str) -> str | None:
        """A single value of what is wanted."""
        value = self.wanted.get(key)
        return None if value is None else str(value)


def compare(client: Client, options: dict[str, Any], found: Pool | None) -> Definition:
    """What the options ask for, compared on meaning with what is there.

    :raises NotFound: if there is no pool and the options do not say what it is
    :raises Refused: if the options describe no pool that libvirt can take
    """
    stored = ET.fromstring(found.definition) if found else None
    defined = pool_meaning.of_definition(stored) if found else {}
    active = bool(found and found.active)
    live = pool_meaning.of_definition(ET.fromstring(found.live)) if active else {}
    root = _wanted(client, options, stored)
    if found:
        _require_same_uuid(root, found)
        pool_xml.set_uuid(root, found.uuid)
    wanted = pool_meaning.of_definition(root)
    if options["xml"] is None:
        _require_meaning(wanted, options)
    counted = _counted_permissions(options, wanted)
    changes = pool_meaning.differences(wanted, defined, counted) if found else set(wanted)
    stale = pool_meaning.differences(wanted, live, counted) if active else set()
    was_stale = pool_meaning.differences(defined, live, counted) if active else set()
    return Definition(
        kind=str(wanted["type"]),
        root=root,
        wanted=wanted,
        defined=defined,
        live=live,
        changes=changes,
        stale=stale,
        was_stale=bool(was_stale if changes else stale),
    )


def _counted_permissions(options: dict[str, Any], wanted: pool_meaning.Meaning) -> set[str]:
    """The permissions that are stated and that a build can bring about."""
    known = type_of(str(wanted["type"]))
    told_by_directory = known.on_directory and options["state"] == "active"
    if not known.own_permissions or (told_by_directory and options["build"] == "never"):
        return set()
    if options["xml"] is not None:
        said = wanted
    else:
        said = pool_meaning.stated(pool_xml.build("", "", {"target": options["target"]}))
    return {key for key in said if key.startswith(pool_meaning.PERMISSIONS)}


def _wanted(client: Client, options: dict[str, Any], stored: ET.Element | None) -> ET.Element:
    """The whole definition that the pool is to have."""
    name = options["name"]
    if options["xml"] is not None:
        return pool_xml.parse(name, options["xml"])
    kind = options["type"] or (None if stored is None else stored.get("type"))
    if not kind:
        names = ", ".join(pool.name for pool in client.pools()) or "none"
        raise NotFound(
            f"There is no pool {name!r} (there are: {names}). To make it, say what it is: type "
            "with source and target, or xml."
        )
    stated = pool_xml.build(name, kind, options)
    if stored is not None and kind == stored.get("type"):
        root = ET.fromstring(ET.tostring(stored))
        pool_xml.amend(root, stated)
    else:
        root = stated
        _complete(kind, options, root)
    pool_xml.set_part_separator(root, (options["source"] or {}).get("part_separator"))
    return root


def _complete(kind: str, options: dict[str, Any], root: ET.Element) -> None:
    """Refuse a new definition that lacks something, and add what has a default."""
    known = type_of(kind)
    for need in known.needs:
        group, option = need.split(".")
        value = (options[group] or {}).get(option)
        if not value:
            raise Refused(f"A pool of type {kind} needs {need}.")
        if isinstance(value, list) and len(value) > 1 and need not in known.many:
            raise Refused(f"A pool of type {kind} needs {need} with one entry, not {len(value)}.")
    path = (options["target"] or {}).get("path")
    if path and not path.startswith("/"):
        raise Refused(f"target.path={path!r} is not absolute.")
    if known.path and not path:
        pool_xml.amend(
            root, pool_xml.build(options["name"], kind, {"target": {"path": known.path}})
        )


def _require_meaning(wanted: pool_meaning.Meaning, options: dict[str, Any]) -> None:
    """Refuse options that libvirt would pass over in silence."""
    kind = str(wanted["type"])
    said = pool_meaning.stated(pool_xml.build(options["name"], kind, options))
    lost = pool_meaning.meaningless(said, wanted)
    if lost:
        raise Refused(f"A pool of type {kind} has no {', '.join(lost)}.")
    path = wanted.get("target/path")
    if said.get("target/path", path) != path:
        raise Refused(f"target.path of a pool of type {kind} is always {path}.")


def _require_same_uuid(root: ET.Element, found: Pool) -> None:
    uuid = root.findtext("uuid")
    if uuid and uuid.replace("-", "").lower() != found.uuid.replace("-", ""):
        raise Refused(
            f"xml states uuid {uuid}, but pool {found.name!r} has {found.uuid}, which libvirt does "
            "not change. Leave it out of xml, or undefine the pool first (its data stays)."
        )
