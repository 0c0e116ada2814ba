# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of a host that is lost come up on the other one; a pool that hosts share keeps disks."""

from __future__ import annotations

from tests.e2e.cloud import boots

MOVE = 240


def test_evacuation_from_a_pool_of_its_own_makes_the_disk_anew(hosts, boot):
    here, there = hosts.nodes
    server = boot(here)
    boots(hosts.cloud, server)
    with hosts.lost(here):
        hosts.compute.evacuate_server(server, host=there.name)
        hosts.cloud.wait(server, "SHUTOFF", MOVE)
        assert hosts.of(server)[0] == there
        # What the lost host has is not touched before it is back.
        assert here.runs(server)
    hosts.assert_lives_on(there, server)
    hosts.compute.start_server(server)
    hosts.cloud.wait(server, "ACTIVE")
    assert boots(hosts.cloud, server) == 1


def test_shared_pool_keeps_the_disk(hosts, shared_pool, boot):
    here, there = hosts.nodes
    server = boot(here)
    before = boots(hosts.cloud, server)
    volumes = here.volumes_of(server, shared_pool)
    assert "disk" in volumes
    hosts.compute.live_migrate_server(server, host=there.name, block_migration="auto")
    hosts.cloud.wait(server, "ACTIVE", MOVE)
    assert there.runs(server)
    assert not here.runs(server)
    assert there.volumes_of(server, shared_pool) == volumes
    # A host that is lost is off.
    there.run("virsh", "destroy", server.id)
    with hosts.lost(there):
        hosts.compute.evacuate_server(server, host=here.name)
        hosts.cloud.wait(server, "SHUTOFF", MOVE)
    hosts.compute.start_server(server)
    hosts.cloud.wait(server, "ACTIVE")
    assert boots(hosts.cloud, server, before + 1) == before + 1
    assert here.volumes_of(server, shared_pool) == volumes
    hosts.cloud.delete(server)
    assert here.left(server, shared_pool) == []
    assert there.left(server, shared_pool) == []
