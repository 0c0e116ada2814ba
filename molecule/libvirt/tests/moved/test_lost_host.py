# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of a host that is lost come up on the other one; a pool that hosts share keeps disks."""

from __future__ import annotations


def test_evacuation_from_a_pool_of_its_own_makes_the_disk_anew(hosts, boot):
    here, there = hosts.nodes
    server = boot(here)
    hosts.boots(server)
    with hosts.lost(here):
        hosts.compute.evacuate_server(server, host=there.name)
        hosts.wait(server, "SHUTOFF")
        assert hosts.of(server)[0] == there
        # What the lost host has is not touched before it is back.
        assert here.runs(server)
    hosts.assert_lives_on(there, server)
    hosts.compute.start_server(server)
    hosts.wait(server, "ACTIVE")
    assert hosts.boots(server) == 1


def test_shared_pool_keeps_the_disk(hosts, shared_pool, boot):
    """Cold migration and evacuation copy nothing.

    libvirt knows no file system as shared that two containers on a machine can have, and refuses to
    migrate a running guest over it.
    """
    here, there = hosts.nodes
    server = boot(here)
    before = hosts.boots(server)
    volumes = here.volumes_of(server, shared_pool)
    assert "disk" in volumes
    hosts.compute.migrate_server(server, host=there.name)
    hosts.wait(server, "VERIFY_RESIZE")
    hosts.compute.confirm_server_resize(server)
    hosts.wait(server, "ACTIVE")
    assert hosts.boots(server, before + 1) == before + 1
    assert not here.runs(server)
    assert there.volumes_of(server, shared_pool) == volumes
    # A host that is lost is off.
    there.run("virsh", "destroy", server.id)
    with hosts.lost(there):
        hosts.compute.evacuate_server(server, host=here.name)
        hosts.wait(server, "SHUTOFF")
    hosts.compute.start_server(server)
    hosts.wait(server, "ACTIVE")
    assert hosts.boots(server, before + 2) == before + 2
    assert here.volumes_of(server, shared_pool) == volumes
    # Where disks are shared Nova leaves the instance's directory, with logs, on the lost host.
    there.run("rm", "-r", f"/var/lib/nova/pools/instances/{server.id}")
    hosts.cloud.delete(server)
    assert here.left(server, shared_pool) == []
    assert there.left(server, shared_pool) == []
