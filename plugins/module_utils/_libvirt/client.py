# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Speaks to libvirt through libvirt-python about pools and what is in them.

Pools and volumes go in and out as libvirt's own XML, see https://libvirt.org/formatstorage.html.
Every method raises OperationFailed if libvirt refuses, and Unreachable if the connection breaks.
What only some modules need stands in volume_client.py and secret_client.py: a module is sent to its
target, and compiled there, with all that it imports.
"""

from __future__ import annotations

import traceback
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import NamedTuple
from urllib.parse import urlsplit

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    MissingLibrary,
    OperationFailed,
    Unreachable,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.connection import connect

try:
    import libvirt
except ImportError:
    libvirt = None
    LIBVIRT_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    LIBVIRT_IMPORT_ERROR = None

# How to build a pool: make its directory or mount point only; format its device if that is empty;
# format it whatever it carries.
_BUILD_FLAGS = {"directory": "NEW", "empty": "NO_OVERWRITE", "overwrite": "OVERWRITE"}
_CREATE_FLAGS = {
    "none": "NORMAL",
    "directory": "WITH_BUILD",
    "empty": "WITH_BUILD_NO_OVERWRITE",
    "overwrite": "WITH_BUILD_OVERWRITE",
}
# What libvirt says, as an internal error, of a pool in which volumes are being made, and of a
# volume that another clone is being made into; and of qemu-img, where it finds no time to measure how
# hard to guess a key of LUKS is.
_BUSY_MESSAGES = (
    "asynchronous jobs running",
    "already in use",
    "Unable to get accurate CPU usage",
)
POOL_STATES = ("inactive", "building", "active", "degraded", "inaccessible")


class AlreadyFormatted(OperationFailed):
    """A device that was to be formatted only if empty carries something."""


class Pool(NamedTuple):
    """A pool that libvirt knows.

    :param state: one of POOL_STATES
    :param definition: XML of what the pool is when it starts next
    :param live: XML of what it is now, with sizes
    """

    name: str
    uuid: str
    state: str
    persistent: bool
    autostart: bool
    definition: str
    live: str

    @property
    def active(self) -> bool:
        """Whether the pool is started."""
        return self.state != "inactive"


class Volume:
    """A volume of an active pool, with its XML, which tells the rest: one call a volume."""

    def __init__(self, pool: str, name: str, xml: str) -> None:
        self.pool = pool
        self.name = name
        self.xml = xml

    @cached_property
    def root(self) -> ET.Element:
        """The XML, parsed."""
        return ET.fromstring(self.xml)

    @property
    def key(self) -> str:
        """What identifies the volume for libvirt."""
        return self.root.findtext("key", "")

    @property
    def path(self) -> str:
        """Path of the file or device, or what takes its place."""
        return self.root.findtext("target/path", "")


class Domain(NamedTuple):
    """A domain with the XML of what runs (if it does) and of what would start next."""

    name: str
    active: bool
    xml: tuple[str, ...]


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Turn libvirt's error into ours: what was tried, and what came back."""
    try:
        yield
    except libvirt.libvirtError as error:
        message = (error.get_error_message() or str(error)).strip()
        if error.get_error_domain() in (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE):
            raise Unreachable(
                f"The connection to libvirt broke while trying to {what}: {message}. "
                "Look at the log of libvirtd (or virtstoraged), then run again."
            ) from error
        code = error.get_error_code()
        if code == libvirt.VIR_ERR_STORAGE_POOL_BUILT:
            raise AlreadyFormatted(f"Could not {what}: {message}", code) from error
        busy = code in _busy_codes() or any(said in message for said in _BUSY_MESSAGES)
        raise OperationFailed(f"Could not {what}: {message}", code, busy) from error


def _busy_codes() -> tuple[int, ...]:
    """The errors of a pool that is starting, or of a volume that is being made, by another run."""
    return (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_STORAGE_VOL_EXIST)


class Client:
    """One connection to a libvirt daemon.

    :param uri: a libvirt connection URI, see https://libvirt.org/uri.html
    :param timeout: seconds that the daemon may be silent; 0 for ever
    :raises MissingLibrary: if libvirt-python cannot be imported
    :raises Unreachable: if no daemon answers
    """

    def __init__(self, uri: str, timeout: int = 0) -> None:
        if libvirt is None:
            raise MissingLibrary("libvirt-python", LIBVIRT_IMPORT_ERROR)
        self.uri = uri
        self._connection = connect(uri, timeout)

    def close(self) -> None:
        """Log off; a connection that broke while it was used has been told already."""
        with suppress(libvirt.libvirtError):
            self._connection.close()

    @property
    def local(self) -> bool:
        """Whether the daemon's files are those of this machine."""
        return not urlsplit(self.uri).hostname

    # Pools

    def pools(self) -> list[Pool]:
        """All pools, by name."""
        with doing("list the storage pools"):
            found = self._connection.listAllStoragePools(0)
        records = (self._pool_record(pool) for pool in found)
        return sorted((pool for pool in records if pool), key=lambda pool: pool.name)

    def find_pool(self, name: str) -> Pool | None:
        """A pool by its name, or None."""
        handle = self._find_pool(name)
        return self._pool_record(handle) if handle else None

    def create_pool(self, name: str, xml: str, build: str) -> None:
        """Build a pool and start it, without a lasting definition.

        :param build: a key of _CREATE_FLAGS
        :raises AlreadyFormatted: if ``build`` is "empty" and the device is not
        """
        flags = getattr(libvirt, f"VIR_STORAGE_POOL_CREATE_{_CREATE_FLAGS[build]}")
        with doing(f"create pool {name!r}"):
            self._connection.storagePoolCreateXML(xml, flags)

    def define_pool(self, name: str, xml: str) -> None:
        """Store a pool's definition; a running pool keeps to its old one until it restarts."""
        with doing(f"define pool {name!r}"):
            self._connection.storagePoolDefineXML(xml, 0)

    def build_pool(self, name: str, build: str) -> None:
        """Make what an inactive pool needs to start; ``build`` as for create_pool."""
        flags = getattr(libvirt, f"VIR_STORAGE_POOL_BUILD_{_BUILD_FLAGS[build]}")
        with doing(f"build pool {name!r}"):
            self._pool(name).build(flags)

    def start_pool(self, name: str) -> None:
        """Start an inactive pool."""
        with doing(f"start pool {name!r}"):
            self._pool(name).create(0)

    def stop_pool(self, name: str) -> None:
        """Stop an active pool; its data stays."""
        with doing(f"stop pool {name!r}"):
            self._pool(name).destroy()

    def refresh_pool(self, name: str) -> None:
        """Read an active pool's volumes anew."""
        with doing(f"refresh pool {name!r}"):
            self._pool(name).refresh(0)

    def delete_pool(self, name: str) -> None:
        """Remove the directory, mount point or partition table under an inactive pool."""
        with doing(f"delete what is under pool {name!r}"):
            self._pool(name).delete(libvirt.VIR_STORAGE_POOL_DELETE_NORMAL)

    def undefine_pool(self, name: str) -> None:
        """Forget an inactive pool; its data stays."""
        with doing(f"undefine pool {name!r}"):
            self._pool(name).undefine()

    def pool_types(self) -> set[str]:
        """The types of pool that the daemon has a backend for."""
        with doing("ask for the types of storage pool"):
            xml = self._connection.getStoragePoolCapabilities(0)
        found = ET.fromstring(xml).iterfind("pool[@supported='yes']")
        return {pool.get("type", "") for pool in found}

    def volume_groups(self) -> set[str]:
        """The names of the LVM volume groups that the daemon's machine has."""
        with doing("look for volume groups"):
            xml = self._connection.findStoragePoolSources("logical", None, 0)
        return {name.text or "" for name in ET.fromstring(xml).iterfind("source/name")}

    def set_autostart(self, name: str, autostart: bool) -> None:
        """Whether the pool starts with the daemon."""
        with doing(f"set the autostart of pool {name!r}"):
            self._pool(name).setAutostart(int(autostart))

    # Volumes

    def volumes(self, pool: str) -> list[Volume]:
        """The volumes of an active pool, by name."""
        with doing(f"list the volumes of pool {pool!r}"):
            found = self._pool(pool).listAllVolumes(0)
        records = (self._volume_record(pool, volume) for volume in found)
        return sorted((volume for volume in records if volume), key=lambda volume: volume.name)

    def delete_volume(self, pool: str, name: str) -> None:
        """Remove a volume and its data."""
        with doing(f"delete volume {name!r} of pool {pool!r}"):
            self._volume(pool, name).delete(0)

    # Domains

    def domains(self) -> list[Domain]:
        """All domains, defined or running."""
        with doing("list the domains"):
            found = self._connection.listAllDomains(0)
        records = (self._domain_record(domain) for domain in found)
        return [domain for domain in records if domain]

    # Handles

    def _pool(self, name: str) -> libvirt.virStoragePool:
        return self._connection.storagePoolLookupByName(name)

    def _find_pool(self, name: str) -> libvirt.virStoragePool | None:
        try:
            with doing(f"look up pool {name!r}"):
                return self._pool(name)
        except OperationFailed as error:
            if error.code == libvirt.VIR_ERR_NO_STORAGE_POOL:
                return None
            raise

    def _volume(self, pool: str, name: str) -> libvirt.virStorageVol:
        return self._pool(pool).storageVolLookupByName(name)

    # Records; None where the thing went away while it was read

    @staticmethod
    def _pool_record(handle: libvirt.virStoragePool) -> Pool | None:
        name = handle.name()
        try:
            with doing(f"read pool {name!r}"):
                return Pool(
                    name=name,
                    uuid=handle.UUIDString(),
                    state=POOL_STATES[handle.info()[0]],
                    persistent=bool(handle.isPersistent()),
                    autostart=bool(handle.autostart()),
                    definition=handle.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE),
                    live=handle.XMLDesc(0),
                )
        except OperationFailed as error:
            if error.code == libvirt.VIR_ERR_NO_STORAGE_POOL:
                return None
            raise

    @staticmethod
    def _volume_record(pool: str, handle: libvirt.virStorageVol) -> Volume | None:
        name = handle.name()
        try:
            with doing(f"read volume {name!r} of pool {pool!r}"):
                return Volume(pool, name, handle.XMLDesc(0))
        except OperationFailed as error:
            if error.code == libvirt.VIR_ERR_NO_STORAGE_VOL:
                return None
            raise

    @staticmethod
    def _domain_record(handle: libvirt.virDomain) -> Domain | None:
        name = handle.name()
        try:
            with doing(f"read domain {name!r}"):
                xml = (handle.XMLDesc(0), handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
                return Domain(name, bool(handle.isActive()), xml)
        except OperationFailed as error:
            if error.code == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise
