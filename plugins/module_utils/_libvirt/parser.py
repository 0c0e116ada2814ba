# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a pool's definition as libvirt does, with libvirt's own code and without a daemon.

libvirt's client library carries a driver that lives in the process that opens it (``test:///``)
and parses definitions with the code that the daemon uses. It knows every default and every element
that has a meaning for a type of pool. Only namespaces it leaves out: the daemon's storage backends
bring them along.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from contextlib import closing

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    OperationFailed,
    Refused,
)

try:
    import libvirt
except ImportError:
    libvirt = None

_URI = "test:///default"


def understood(definition: ET.Element) -> ET.Element:
    """A pool's definition as libvirt would print it, once it had stored it.

    :raises Refused: if libvirt cannot take it
    """
    xml = ET.tostring(definition, encoding="unicode")
    try:
        with closing(libvirt.open(_URI)) as connection:
            for pool in connection.listAllStoragePools(0):
                pool.destroy()
                pool.undefine()
            return ET.fromstring(_stored(connection, xml))
    except libvirt.libvirtError as error:
        raise OperationFailed(
            f"libvirt's own reader of definitions ({_URI}) cannot be used: "
            f"{error.get_error_message()}"
        ) from error


def _stored(connection: libvirt.virConnect, xml: str) -> str:
    try:
        return connection.storagePoolDefineXML(xml, 0).XMLDesc(0)
    except libvirt.libvirtError as error:
        reason = (error.get_error_message() or str(error)).strip()
    except ValueError as error:
        reason = f"it holds characters that XML cannot ({error})"
    raise Refused(f"libvirt cannot take this definition of a pool: {reason}.")
