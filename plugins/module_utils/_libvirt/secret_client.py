# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Speaks to libvirt about secrets."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import OperationFailed
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Client,
    doing,
)

try:
    import libvirt
except ImportError:
    libvirt = None

SECRET_USAGES = ("none", "volume", "ceph", "iscsi", "tls", "vtpm")


class SecretIsPrivate(OperationFailed):
    """The value of a secret cannot be read."""


class Secret(NamedTuple):
    """A secret that libvirt keeps, without its value.

    :param usage: one of SECRET_USAGES
    :param name: what it is for: a volume's path, an iSCSI target, a name
    """

    uuid: str
    usage: str
    name: str
    xml: str


class SecretClient(Client):
    """A connection to libvirt for what concerns its secrets, too; as Client."""

    def secrets(self) -> list[Secret]:
        """All secrets, by usage and name."""
        with doing("list the secrets"):
            found = self._connection.listAllSecrets(0)
        records = (self._secret_record(secret) for secret in found)
        return sorted(
            (secret for secret in records if secret), key=lambda secret: (secret.usage, secret.name)
        )

    def find_secret(self, usage: str, name: str) -> Secret | None:
        """A secret by what it is for, or None."""
        try:
            with doing(f"look up the secret of {usage} {name!r}"):
                kind = SECRET_USAGES.index(usage)
                return self._secret_record(self._connection.secretLookupByUsage(kind, name))
        except OperationFailed as error:
            if error.code == libvirt.VIR_ERR_NO_SECRET:
                return None
            raise

    def define_secret(self, xml: str) -> None:
        """Make a secret, or change all of it but its value."""
        with doing("define the secret"):
            self._connection.secretDefineXML(xml, 0)

    def undefine_secret(self, uuid: str) -> None:
        """Forget a secret and its value."""
        with doing(f"remove secret {uuid}"):
            self._connection.secretLookupByUUIDString(uuid).undefine()

    def secret_value(self, uuid: str) -> bytes | None:
        """The value of a secret; None where it has none yet.

        :raises SecretIsPrivate: if it is
        """
        try:
            with doing(f"read the value of secret {uuid}"):
                return self._connection.secretLookupByUUIDString(uuid).value(0)
        except OperationFailed as error:
            if error.code == libvirt.VIR_ERR_NO_SECRET:
                return None
            if error.code == libvirt.VIR_ERR_INVALID_SECRET:
                raise SecretIsPrivate(str(error), error.code) from error
            raise

    def set_secret_value(self, uuid: str, value: bytes) -> None:
        """Store the value of a secret."""
        with doing(f"set the value of secret {uuid}"):
            self._connection.secretLookupByUUIDString(uuid).setValue(value, 0)

    @staticmethod
    def _secret_record(handle: libvirt.virSecret) -> Secret | None:
        uuid = handle.UUIDString()
        try:
            with doing(f"read secret {uuid}"):
                usage = SECRET_USAGES[handle.usageType()]
                return Secret(uuid, usage, handle.usageID() or "", handle.XMLDesc(0))
        except OperationFailed as error:
            if error.code == libvirt.VIR_ERR_NO_SECRET:
                return None
            raise
