# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a pool's definition as libvirt does, with libvirt's own code and without a daemon.

libvirt's client library carries a driver that lives in the process that opens it (``test://``) and
parses definitions with the code that the daemon uses. It knows every default and every element that
has a meaning for a type of pool. Only namespaces it leaves out: the daemon's storage backends bring
them along.
"""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ET
from contextlib import closing
from urllib.parse import quote

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    OperationFailed,
    Refused,
)

try:
    import libvirt
except ImportError:
    libvirt = None

# The description of a machine without anything. What is opened by the path of such a file is
# nobody else's, as test:///default would be.
_NOTHING = "<node/>"


def understood(definition: ET.Element) -> ET.Element:
    """A pool's definition as libvirt would print it, once it had stored it.

    :raises Refused: if libvirt cannot take it
    :raises OperationFailed: if there is no room for a temporary file
    """
    xml = ET.tostring(definition, encoding="unicode")
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as node:
            node.write(_NOTHING)
            node.flush()
            with closing(_machine(node.name)) as machine:
                return ET.fromstring(_stored(machine, xml))
    except OSError as error:
        raise OperationFailed(
            f"No temporary file could be written to read a definition of a pool: {error}."
        ) from error


def _machine(path: str) -> libvirt.virConnect:
    try:
        return libvirt.open(f"test://{quote(path)}")
    except libvirt.libvirtError as error:
        raise OperationFailed(
            "libvirt's own reader of definitions (its test driver) cannot be used: "
            f"{error.get_error_message()}"
        ) from error


def _stored(machine: libvirt.virConnect, xml: str) -> str:
    try:
        return machine.storagePoolDefineXML(xml, 0).XMLDesc(0)
    except libvirt.libvirtError as error:
        reason = (error.get_error_message() or str(error)).strip()
    except ValueError as error:
        reason = f"it holds characters that XML cannot ({error})"
    raise Refused(f"libvirt cannot take this definition of a pool: {reason}.")
