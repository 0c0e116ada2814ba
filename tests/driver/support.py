# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""What the driver's tests share: pools on a libvirtd of their own."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import unittest
from typing import Any

import fixtures
import libvirt
from nova import exception
from nova.tests import fixtures as nova_fixtures
from nova_polyvisor.libvirt.storage import Storage
from oslo_utils import uuidutils
from private_ceph import shared_ceph
from private_libvirtd import PrivateLibvirtd

#: Marks tests that take long, or prove little more than others.
slow = unittest.skipUnless("POLYVISOR_TEST_FULL" in os.environ, "of the slow tier")

DISKS_POOL = "nova-disks-pool"
BASE_IMAGES_POOL = "nova-base-images-pool"


class LibvirtdHost:
    """Stands for nova's ``Host``: gives a connection to the tests' libvirtd."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self.connect()

    def connect(self) -> None:
        """Connect, anew after libvirtd was killed and came back."""
        self._connection = libvirt.open(self._uri)

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
        self.directory = self._shared or self.make_room()
        self.pool = self.host.get_connection().storagePoolDefineXML(self.pool_xml(DISKS_POOL), 0)

    def make_room(self) -> str:
        """Make what the disks pool is over, and return where its volumes appear."""
        directory = os.path.join(self.daemon.directory, "disks")
        os.mkdir(directory)
        return directory

    def pool_xml(self, name: str) -> str:
        """Return the definition of the disks pool."""
        return (
            f"<pool type='dir'><name>{name}</name>"
            f"<target><path>{self.directory}</path></target></pool>"
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

    def content(self, volume: str) -> bytes:
        """Return what a volume holds, as QEMU reads it."""
        path = os.path.join(self.daemon.directory, "exported")
        source = os.path.join(self.directory, volume)
        command = ["qemu-img", "convert", "--force-share", "-O", "raw", source, path]
        subprocess.run(command, check=True)
        try:
            with open(path, "rb") as file:
                return file.read()
        finally:
            os.unlink(path)

    def parent(self, volume: str) -> str | None:
        """Return the path that a volume lies over, None if it lies over none."""
        path = os.path.join(self.directory, volume)
        command = ["qemu-img", "info", "--force-share", "--output=json", path]
        info = subprocess.run(command, check=True, capture_output=True).stdout
        return json.loads(info).get("backing-filename")


class RbdFixture(StorageFixture):
    """The same with a disks pool of type rbd, over a pool of its own in a Ceph cluster.

    ``in_ceph`` is that pool's name there, and its user's.

    :param hostname: what the daemon takes its host's name to be, the machine's by default
    :param in_ceph: that pool, if it is another's too
    """

    def __init__(self, hostname: str | None = None, in_ceph: str | None = None) -> None:
        super().__init__(hostname)
        self.ceph = shared_ceph()
        self._shared_pool = in_ceph
        self.in_ceph = in_ceph or f"disks-{uuidutils.generate_uuid()}"

    def setUp(self) -> None:
        super().setUp()
        if self._shared_pool is None:
            self.ceph.make_pool(self.in_ceph)
        self.secret = self.define_secret()

    def define_secret(self, private: bool = False) -> Any:
        """Let libvirt keep the key of the pool's user."""
        secret = self.host.get_connection().secretDefineXML(
            f"<secret ephemeral='no' private='{'yes' if private else 'no'}'>"
            f"<usage type='ceph'><name>{self.in_ceph}</name></usage></secret>"
        )
        secret.setValue(base64.b64decode(self.ceph.key(self.in_ceph)))
        return secret

    def pool_xml(self, name: str) -> str:
        """Return the definition of the disks pool."""
        return (
            f"<pool type='rbd'><name>{name}</name><source>"
            f"<host name='127.0.0.1' port='{self.ceph.port}'/><name>{self.in_ceph}</name>"
            f"<auth type='ceph' username='{self.in_ceph}'><secret usage='{self.in_ceph}'/></auth>"
            "</source></pool>"
        )

    def content(self, volume: str) -> bytes:
        """Return what a volume holds, as Ceph's own tool reads it."""
        path = os.path.join(self.daemon.directory, "exported")
        self.ceph.rbd("export", "--no-progress", f"{self.in_ceph}/{volume}", path)
        try:
            with open(path, "rb") as file:
                return file.read()
        finally:
            os.unlink(path)

    def parent(self, volume: str) -> str | None:
        """Return the volume that one is a clone of, None if it is none."""
        info = json.loads(self.ceph.rbd("info", "--format=json", f"{self.in_ceph}/{volume}"))
        return info["parent"]["image"] if "parent" in info else None
