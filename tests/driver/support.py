# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""What the driver's tests share: pools on a libvirtd of their own."""

from __future__ import annotations

import os
from typing import Any

import fixtures
import libvirt
from nova import exception
from nova.tests import fixtures as nova_fixtures
from nova_polyvisor.libvirt.storage import Storage
from private_libvirtd import PrivateLibvirtd

DISKS_POOL = "nova-disks-pool"
BASE_IMAGES_POOL = "nova-base-images-pool"


class LibvirtdHost:
    """Stands for nova's ``Host``: gives a connection to the tests' libvirtd."""

    def __init__(self, uri: str) -> None:
        self._connection = libvirt.open(uri)

    def get_connection(self) -> Any:
        return self._connection

    def _get_domain(self, instance: Any) -> Any:
        try:
            return self._connection.lookupByUUIDString(instance.uuid)
        except libvirt.libvirtError:
            raise exception.InstanceNotFound(instance_id=instance.uuid) from None

    def _wrap_libvirt_proxy(self, thing: Any) -> Any:
        return thing

    def close(self) -> None:
        self._connection.close()


class StorageFixture(fixtures.Fixture):
    """Storage pools on a libvirtd of their own.

    ``host`` connects to it, ``directory`` is the disks pool's, ``daemon`` the running libvirtd.
    The pool of the cached images is not defined yet.

    :param hostname: what the daemon takes its host's name to be, the machine's by default
    :param directory: the disks pool's, if it is another's too
    """

    def __init__(self, hostname: str | None = None, directory: str | None = None) -> None:
        self._hostname = hostname
        self._shared = directory

    def setUp(self) -> None:
        super().setUp()
        # What needs root is done by the tests themselves, no daemon of nova.
        self.useFixture(nova_fixtures.PrivsepFixture())
        # Libvirt prints errors that the caller handles.
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        self.daemon = PrivateLibvirtd(self._hostname)
        self.daemon.start()
        self.addCleanup(self.daemon.stop)
        self.host = LibvirtdHost(self.daemon.uri)
        self.addCleanup(self.host.close)
        self.directory = self._shared or os.path.join(self.daemon.directory, "disks")
        os.makedirs(self.directory, exist_ok=True)
        self.pool = self.host.get_connection().storagePoolDefineXML(
            f"<pool type='dir'><name>{DISKS_POOL}</name>"
            f"<target><path>{self.directory}</path></target></pool>",
            0,
        )

    def another_pool(self, name: str, directory: str | None = None) -> str:
        """Make and start another directory pool of disks, and return its directory.

        :param directory: the pool's, if it is another's too
        """
        directory = directory or os.path.join(self.daemon.directory, name)
        os.makedirs(directory, exist_ok=True)
        self.host.get_connection().storagePoolCreateXML(
            f"<pool type='dir'><name>{name}</name><target><path>{directory}</path></target></pool>"
        )
        return directory

    def storage(self, _host: Any = None) -> Storage:
        """Return the driver's storage on this libvirtd."""
        return Storage(self.host)
