# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Name the legacy instances of a host: ``python -m nova_polyvisor.legacy --config-file FILE``.

Those are the ones whose disks nova's own image backends have made. Run with the interpreter and
the configuration of nova-compute. One JSON object a line and instance is printed: ``uuid``,
``name`` (the domain's), ``running`` and ``disks`` (their sources by their names). Nothing is
changed. The exit status is 1 if libvirt cannot be asked.
"""

import json
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import libvirt
import nova.conf

from nova_polyvisor.libvirt.legacy import disks_of_domain

CONF = nova.conf.CONF

#: Where nova finds libvirt, by ``[libvirt] virt_type``, unless it is told otherwise.
_URIS = {"lxc": "lxc:///", "parallels": "parallels:///system"}


def legacy_instances(connection: Any) -> Iterator[dict[str, Any]]:
    """Give what there is to say about each legacy instance of a libvirt."""
    for domain in connection.listAllDomains():
        uuid = domain.UUIDString()
        disks = disks_of_domain(domain.XMLDesc(), SimpleNamespace(uuid=uuid))
        if disks:
            yield {
                "uuid": uuid,
                "name": domain.name(),
                "running": bool(domain.isActive()),
                "disks": {disk.name: disk.source for disk in disks},
            }


def main(arguments: list[str]) -> int:
    """Print the report; the return value is the exit status."""
    CONF(arguments, project="nova")
    uri = CONF.libvirt.connection_uri or _URIS.get(CONF.libvirt.virt_type, "qemu:///system")
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        connection = libvirt.openReadOnly(uri)
        for found in legacy_instances(connection):
            print(json.dumps(found))
    except libvirt.libvirtError as error:
        print(f"Cannot ask {uri} for the instances: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
