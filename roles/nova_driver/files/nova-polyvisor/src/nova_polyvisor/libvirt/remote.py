# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Pools of another host, reached through its libvirt, and whether they are this host's own."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import libvirt
from oslo_utils import units, uuidutils

from nova_polyvisor.libvirt.pool import Pool, PoolError, VolumeSpec

#: Gives the pool of the disks on a host, which is known by its address.
Reach = Callable[[str], contextlib.AbstractContextManager[Pool]]

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
def pool_at(host: Any, uri: str, name: str) -> Iterator[Pool]:
    """Give a pool of another host for the length of a ``with`` block.

    :param host: nova's ``Host`` of this host
    :param uri: where the other host's libvirt is reached
    :param name: the pool's name
    :raises PoolError: libvirt is not reached there, or has no such pool
    """
    try:
        connection = host._connect(uri, False)
    except libvirt.libvirtError as error:
        raise PoolError(reason=f"Cannot reach libvirt at {uri}: {error}") from error
    try:
        pool = Pool(_Libvirt(host, connection), name)
        if not pool.exists():
            raise PoolError(reason=f"Libvirt at {uri} has no storage pool {name}")
        yield pool
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
