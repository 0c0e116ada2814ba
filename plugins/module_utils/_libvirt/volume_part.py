# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes a volume under another name, and gives it its own when it is complete.

libvirt cannot rename a volume. Where its files are this machine's, rename(2) can: whoever looks
sees the old volume or the new one, whatever is killed in between. Elsewhere the daemon copies.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Callable

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import OperationFailed
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import volume_kinds
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Pool,
    Volume,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_client import (
    VolumeClient,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import Step

# A part that nobody has written to for so many seconds belongs to a run that has died.
_ABANDONED_AFTER = 3600


def renames(client: VolumeClient, pool: Pool) -> bool:
    """Whether this process can rename the files of a pool."""
    return (
        client.local
        and volume_kinds.kind(pool) in volume_kinds.FILE_POOLS
        and os.access(volume_kinds.directory(pool), os.R_OK | os.W_OK | os.X_OK)
    )


def unknown_file(client: VolumeClient, pool: Pool, name: str) -> bool:
    """Whether a pool's directory holds a file that would be the volume, seen from here."""
    return renames(client, pool) and os.path.lexists(
        os.path.join(volume_kinds.directory(pool), name)
    )


def _leftovers(client: VolumeClient, pool: Pool, name: str) -> list[str]:
    """The parts of a volume that are there: of runs that died, or that are at work."""
    return [other for other in client.volume_names(pool.name) if other.startswith(_prefix(name))]


def clean_up(client: VolumeClient, pool: Pool, name: str) -> list[Step]:
    """The step that removes what runs that died have left, where there is anything."""
    if not _leftovers(client, pool, name):
        return []
    return [Step("clean up", lambda: _remove_abandoned(client, pool, name), quiet=True)]


def _remove_abandoned(client: VolumeClient, pool: Pool, name: str) -> None:
    """Remove what runs that died have left of a volume's parts.

    On this machine a run at work holds a lock; elsewhere it is known by what it writes.
    """
    parts = _leftovers(client, pool, name)
    if not renames(client, pool):
        _remove(client, pool, [part for part in parts if _abandoned(client, pool, part)])
        return
    with suppress(BlockingIOError), _locked(pool, fcntl.LOCK_EX | fcntl.LOCK_NB):
        _remove(client, pool, parts)


def make(
    client: VolumeClient, pool: Pool, name: str, fill: Callable[[str], None], replace: bool
) -> None:
    """Make a volume under another name and rename it; only where ``renames``.

    :param fill: makes the volume of the name that it is given
    :param replace: whether to take the place of a volume that exists
    :raises OperationFailed: if it cannot be made; nothing is left of it then
    """
    path = os.path.join(volume_kinds.directory(pool), name)
    part = _prefix(name) + secrets.token_hex(4)
    with _locked(pool, fcntl.LOCK_SH), _removed_on_failure(client, pool, part):
        if not replace and os.path.lexists(path):
            raise _taken(name, pool)
        fill(part)
        found = client.find_volume(pool.name, part)
        if not found:
            raise OperationFailed(f"Volume {part!r} of pool {pool.name!r} was removed.", busy=True)
        _rename(found.path, path, replace, _taken(name, pool))


def replace_by_copy(
    client: VolumeClient, found: Volume, fill: Callable[[str], None], xml: Callable[[Volume], str]
) -> None:
    """Make a volume under another name, then let the daemon copy it to the place of the old one.

    :param xml: gives the volume that the copy of the new one is to be
    :raises OperationFailed: with the name of the new volume if the old one is gone already
    """
    part = _prefix(found.name) + secrets.token_hex(4)
    try:
        fill(part)
        origin = client.find_volume(found.pool, part)
        if not origin:
            raise OperationFailed(f"Volume {part!r} of pool {found.pool!r} was removed.", busy=True)
        client.delete_volume(found.pool, found.name)
    except BaseException:
        with suppress(OperationFailed):
            client.delete_volume(found.pool, part)
        raise
    try:
        client.clone_volume(found.pool, found.name, xml(origin), origin)
    except OperationFailed as error:
        raise OperationFailed(
            f"{error} The old volume has been deleted; what was uploaded is complete in volume "
            f"{part!r} of the same pool.",
            error.code,
        ) from error
    client.delete_volume(found.pool, part)


def _abandoned(client: VolumeClient, pool: Pool, part: str) -> bool:
    found = client.find_volume(pool.name, part)
    written = found.root.findtext("target/timestamps/mtime") if found else None
    return bool(written) and time.time() - float(written) > _ABANDONED_AFTER


def _prefix(name: str) -> str:
    return f".polyvisor-{hashlib.sha256(name.encode()).hexdigest()[:16]}-"


def _taken(name: str, pool: Pool) -> OperationFailed:
    """Another run may have made it just now, so that the daemon does not know it yet."""
    return OperationFailed(
        f"Pool {pool.name!r} holds a file {name!r} that libvirt does not know. Refresh the pool.",
        busy=True,
    )


def _rename(part: str, path: str, replace: bool, taken: OperationFailed) -> None:
    try:
        if replace:
            os.replace(part, path)
            return
        try:
            os.link(part, path)
        except FileExistsError:
            raise taken from None
        except OSError:
            os.rename(part, path)  # A file system without hard links.
        else:
            os.unlink(part)
    except OSError as error:
        raise OperationFailed(
            f"Could not rename {part} to {path}: {error.strerror}", error.errno
        ) from error


@contextmanager
def _locked(pool: Pool, how: int) -> Iterator[None]:
    """Hold a lock on a pool's directory, which ends with the process, however that ends."""
    directory = os.open(volume_kinds.directory(pool), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, how)
        yield
    finally:
        os.close(directory)


@contextmanager
def _removed_on_failure(client: VolumeClient, pool: Pool, part: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        _remove(client, pool, [part])
        raise


def _remove(client: VolumeClient, pool: Pool, parts: list[str]) -> None:
    """Remove parts, but for those that the daemon is still at work on."""
    for part in parts:
        with suppress(OperationFailed):
            client.delete_volume(pool.name, part)
