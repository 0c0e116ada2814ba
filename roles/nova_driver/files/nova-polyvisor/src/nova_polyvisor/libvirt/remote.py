# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Pools of another host, reached through its libvirt, and whether they are this host's own."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import libvirt
from oslo_utils import units, uuidutils

from nova_polyvisor.libvirt.pool import Pool, PoolError, VolumeSpec
from nova_polyvisor.libvirt.storage import open_pool

#: Gives a pool of another host by its name.
PoolThere = Callable[[str], Pool]

#: Gives the pools of a host, which is known by its address.
Reach = Callable[[str], contextlib.AbstractContextManager[PoolThere]]

_MARKER = "nova-polyvisor-marker-"


class _Libvirt:
    """A connection to another host's libvirt, as much of nova's ``Host`` as a pool needs."""

    def __init__(self, host: Any, connection: Any) -> None:
        self._host = host
        self._connection = connection

    def get_connection(self) -> Any:
        return self._connection

    def _wrap_libvirt_proxy(self, thing: Any) -> Any:
        return self._host._wrap_libvirt_proxy(thing)


@contextlib.contextmanager
def pools_at(host: Any, uri: str) -> Iterator[PoolThere]:
    """Give the pools of another host for the length of a ``with`` block.

    What it gives raises PoolError where libvirt there has no pool of a name.

    :param host: nova's ``Host`` of this host
    :param uri: where the other host's libvirt is reached
    :raises PoolError: libvirt is not reached there
    """
    try:
        connection = host._connect(uri, False)
    except libvirt.libvirtError as error:
        raise PoolError(reason=f"Cannot reach libvirt at {uri}: {error}") from error

    def pool_there(name: str) -> Pool:
        pool = open_pool(_Libvirt(host, connection), name)
        if not pool.exists():
            raise PoolError(reason=f"Libvirt at {uri} has no storage pool {name}")
        return pool

    try:
        yield pool_there
    finally:
        with contextlib.suppress(libvirt.libvirtError):
            connection.close()


def marker_name(token: str) -> str:
    """Return the name of the volume that tells a pool by a token."""
    return _MARKER + token


def make_marker(pool: Pool, token: str) -> None:
    """Make an empty volume that tells a pool."""
    pool.create(VolumeSpec(marker_name(token), "raw", units.Mi))


def is_shared(here: Pool, there: Pool) -> bool:
    """Tell whether another host's pool is this host's own, by a volume made there."""
    token = uuidutils.generate_uuid()
    make_marker(there, token)
    try:
        return here.sees(marker_name(token))
    finally:
        there.delete(marker_name(token))
