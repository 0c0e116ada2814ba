# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Which of the pools another host shares, found out by marks that two hosts leave in them.

Nova asks whether the storage of an instance is shared, and takes one answer for all of it. Where
hosts share one pool and not another, the answer is no, and the host that is to delete the disks
keeps in mind which pools are not its own.
"""

import contextlib
from typing import Any

from oslo_utils import uuidutils

from nova_polyvisor.libvirt.pool import Pool
from nova_polyvisor.libvirt.remote import make_marker, marker_name
from nova_polyvisor.libvirt.storage import Storage

#: Ending of the name of the mark by which the other host answers.
_SEEN = ".seen"


class Sharing:
    """What this host knows of the pools that it shares with others.

    :param storage: the host's pools
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._shared: dict[str, frozenset[str]] = {}

    def shared(self, instance: Any) -> frozenset[str]:
        """Return the names of the pools that the host has, too, that was last asked about this."""
        return self._shared.get(instance.uuid, frozenset())

    def maybe_shared(self, instance: Any) -> frozenset[str]:
        """Return the names of the pools in which there may be the other host's volumes.

        They are all if no host was asked since nova-compute has started.
        """
        everything = frozenset(pool.name for pool in self._storage.pools)
        return self._shared.get(instance.uuid, everything)

    def mark_all(self, token: str) -> None:
        """Mark all pools of disks for another host, which may have any of them.

        :raises PoolError: a pool takes no volume
        """
        with contextlib.ExitStack() as undo:
            for pool in self._storage.pools:
                make_marker(pool, token)
                undo.callback(pool.delete, marker_name(token))
            undo.pop_all()

    def unmark_all(self, token: str) -> None:
        """Take the marks away."""
        for pool in self._storage.pools:
            pool.delete(marker_name(token))

    def look(self, instance: Any, token: str, pools: list[Pool]) -> bool:
        """Find out which pools have the mark of another host; tell whether all of them have."""
        found = frozenset(pool.name for pool in pools if pool.sees(marker_name(token)))
        self._shared[instance.uuid] = found
        return len(found) == len(pools)

    def ask(self, instance: Any) -> dict[str, Any]:
        """Mark the pools that an instance has volumes in; returns what the other host gets."""
        pools = self._storage.pools_of(instance.uuid) or [self._storage.disks]
        token = uuidutils.generate_uuid()
        for pool in pools:
            make_marker(pool, token)
        return {
            "filename": marker_name(token),
            "instance": instance.uuid,
            "pools": [pool.name for pool in pools],
        }

    def answer(self, question: dict[str, Any]) -> bool:
        """Tell whether this host has all of the pools, and mark those that it has."""
        pools = [self._storage.pool(name) for name in question["pools"]]
        seen = [pool for pool in pools if pool is not None and pool.sees(question["filename"])]
        if len(seen) == len(pools):
            return True
        for pool in seen:
            make_marker(pool, _token(question) + _SEEN)
        return False

    def end(self, question: dict[str, Any]) -> None:
        """Take the other host's answer, and all marks away."""
        shared = set()
        for name in question["pools"]:
            pool = self._storage.pool(name)
            if pool is None:
                continue
            if pool.sees(question["filename"] + _SEEN):
                shared.add(name)
                # Libvirt here may not know yet what the other host has made.
                pool.refresh()
                pool.delete(question["filename"] + _SEEN)
            pool.delete(question["filename"])
        self._shared[question["instance"]] = frozenset(shared)


def is_about_pools(question: dict[str, Any]) -> bool:
    """Tell whether ``Sharing.ask`` has asked; if not nova has, about its directory."""
    return "pools" in question


def _token(question: dict[str, Any]) -> str:
    token: str = question["filename"].removeprefix(marker_name(""))
    return token
