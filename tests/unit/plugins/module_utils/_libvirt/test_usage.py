# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a volume."""

from __future__ import annotations

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import usage
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import (
    Domain,
    Pool,
    Volume,
)

VOLUME = Volume("pool", "v", "<volume><target><path>/p/v</path></target></volume>")


class Library:
    """Stands for a client that has these domains and volumes."""

    def __init__(self, domains=(), volumes=()):
        self._domains = list(domains)
        self._volumes = list(volumes)

    def domains(self):
        return self._domains

    def pools(self):
        return [Pool("pool", "", "active", True, True, "", "")]

    def volumes(self, pool):
        return [volume for volume in self._volumes if volume.pool == pool]


def domain(devices: str, boot: str = "", active: bool = False) -> Domain:
    xml = f"<domain><os>{boot}</os><devices>{devices}</devices></domain>"
    return Domain("guest", active, (xml, "<domain/>"))


@pytest.mark.parametrize(
    ("devices", "boot"),
    [
        ("<disk type='file'><source file='/p/v'/></disk>", ""),
        ("<disk type='block'><source dev='/p/v'/></disk>", ""),
        ("<disk type='volume'><source pool='pool' volume='v'/></disk>", ""),
        ("<disk><source file='/x'/><backingStore><source file='/p/v'/></backingStore></disk>", ""),
        ("", "<kernel>/p/v</kernel>"),
        ("", "<nvram>/p/v</nvram>"),
    ],
)
def test_domain_that_uses_a_volume_is_found(devices, boot):
    with pytest.raises(Refused, match="domain 'guest' uses 'v'"):
        usage.require_unused(Library([domain(devices, boot)]), [VOLUME])


@pytest.mark.parametrize(
    "devices",
    [
        "<disk><source file='/p/v2'/></disk>",
        "<disk type='volume'><source pool='other' volume='v'/></disk>",
        "<disk type='volume'><source pool='pool' volume='w'/></disk>",
    ],
)
def test_domain_that_uses_something_else_is_not(devices):
    usage.require_unused(Library([domain(devices)]), [VOLUME])


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("rbd-pool/v", "<source protocol='rbd' name='rbd-pool/v'/>"),
        ("gluster://host/bricks/v", "<source protocol='gluster' name='bricks/v'/>"),
        (
            "ip-127.0.0.1:3260-iscsi-iqn.2026-11.com.example:disks-lun-1",
            "<source protocol='iscsi' name='iqn.2026-11.com.example:disks/1'/>",
        ),
    ],
)
def test_domain_that_reaches_a_volume_over_the_network_is_found(path, source):
    volume = Volume("pool", "v", f"<volume><target><path>{path}</path></target></volume>")
    client = Library([domain(f"<disk type='network'>{source}</disk>")])
    assert usage.domain_users(client, volume) == ["guest"]
    other = Volume("pool", "w", f"<volume><target><path>{path}2</path></target></volume>")
    assert usage.domain_users(client, other) == []


def test_only_running_domains_where_those_are_asked_for():
    devices = "<disk><source file='/p/v'/></disk>"
    for active, users in ((True, ["guest"]), (False, [])):
        client = Library([domain(devices, active=active)])
        assert usage.domain_users(client, VOLUME, running_only=True) == users


def test_volume_that_lies_on_another_keeps_it():
    xml = "<volume><backingStore><path>/p/v</path></backingStore></volume>"
    top = Volume("pool", "top", xml)
    client = Library(volumes=[VOLUME, top])
    with pytest.raises(Refused, match="pool/top lies on 'v'"):
        usage.require_unused(client, [VOLUME])
    usage.require_unused(client, [VOLUME, top])
    assert usage.overlays(client, VOLUME) == ["pool/top"]
