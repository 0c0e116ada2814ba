# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with pool volumes moves between two hosts, each with pools of its own."""

from __future__ import annotations

import pytest

from tests.e2e.cloud import boots, eventually

#: Seconds that a move may take, where QEMU emulates.
MOVE = 240


@pytest.fixture(scope="module")
def server(hosts, boot):
    """A server that the tests of this module share; each leaves it ACTIVE."""
    return boot(hosts.nodes[0], disk=2, ephemeral=1, swap=64)


@pytest.fixture
def grown(hosts, server, flavor):
    """A flavor with larger disks than the server's."""
    now = hosts.fresh(server).flavor
    return flavor(disk=now["disk"] + 1, ephemeral=now["ephemeral"] + 1, swap=now["swap"] + 32)


def test_resize_to_the_other_host_and_back(hosts, server, grown):
    here, there = hosts.of(server)
    before = boots(hosts.cloud, server)
    sizes = {name: volume.capacity for name, volume in here.volumes_of(server).items()}
    with hosts.only(there):
        hosts.compute.resize_server(server, grown)
        hosts.cloud.wait(server, "VERIFY_RESIZE", MOVE)
    assert hosts.of(server) == (there, here)
    assert there.runs(server)
    assert not here.runs(server)
    assert {name: volume.capacity for name, volume in here.volumes_of(server).items()} == sizes
    hosts.compute.revert_server_resize(server)
    hosts.cloud.wait(server, "ACTIVE", MOVE)
    assert hosts.of(server) == (here, there)
    hosts.assert_lives_on(here, server)
    assert boots(hosts.cloud, server, before + 1) == before + 1


def test_resize_to_the_other_host_for_good(hosts, server, grown):
    _here, there = hosts.of(server)
    before = boots(hosts.cloud, server)
    with hosts.only(there):
        hosts.compute.resize_server(server, grown)
        hosts.cloud.wait(server, "VERIFY_RESIZE", MOVE)
    hosts.compute.confirm_server_resize(server)
    hosts.cloud.wait(server, "ACTIVE", MOVE)
    assert hosts.fresh(server).flavor["disk"] == grown.disk
    hosts.assert_lives_on(there, server)
    assert boots(hosts.cloud, server, before + 1) == before + 1


def test_resize_on_the_same_host_and_back(hosts, server, grown):
    here, _there = hosts.of(server)
    before = boots(hosts.cloud, server)
    with hosts.only(here):
        hosts.compute.resize_server(server, grown)
        hosts.cloud.wait(server, "VERIFY_RESIZE", MOVE)
    assert here.volumes_of(server)["disk"].capacity == grown.disk * 1024**3
    hosts.compute.revert_server_resize(server)
    hosts.cloud.wait(server, "ACTIVE", MOVE)
    hosts.assert_lives_on(here, server)
    assert boots(hosts.cloud, server, before + 1) == before + 1


def test_resize_down_is_refused(hosts, server, flavor):
    here, _there = hosts.of(server)
    hosts.compute.resize_server(server, flavor(disk=1, ephemeral=1, swap=64))
    hosts.cloud.wait(server, "ACTIVE", MOVE)
    action = next(hosts.compute.server_actions(server))
    assert (action.action, action.message) == ("resize", "Error")
    assert hosts.of(server)[0] == here
    assert here.runs(server)
    hosts.assert_lives_on(here, server)


def test_cold_migration_and_back(hosts, server):
    here, there = hosts.of(server)
    before = boots(hosts.cloud, server)
    hosts.compute.migrate_server(server, host=there.name)
    hosts.cloud.wait(server, "VERIFY_RESIZE", MOVE)
    assert boots(hosts.cloud, server, before + 1) == before + 1
    hosts.compute.revert_server_resize(server)
    hosts.cloud.wait(server, "ACTIVE", MOVE)
    hosts.assert_lives_on(here, server)
    assert boots(hosts.cloud, server, before + 1) == before + 1


def test_cold_migration_for_good(hosts, server):
    _here, there = hosts.of(server)
    before = boots(hosts.cloud, server)
    hosts.compute.migrate_server(server, host=there.name)
    hosts.cloud.wait(server, "VERIFY_RESIZE", MOVE)
    hosts.compute.confirm_server_resize(server)
    hosts.cloud.wait(server, "ACTIVE", MOVE)
    hosts.assert_lives_on(there, server)
    assert boots(hosts.cloud, server, before + 1) == before + 1


def test_live_migration_there_and_back(hosts, server):
    here, there = hosts.of(server)
    before = boots(hosts.cloud, server)
    for source, target in ((here, there), (there, here)):
        hosts.compute.live_migrate_server(server, host=target.name, block_migration="auto")
        hosts.cloud.wait(server, "ACTIVE", MOVE)
        assert hosts.of(server) == (target, source)
        assert target.runs(server)
        hosts.assert_lives_on(target, server)
    hosts.compute.reboot_server(server, "HARD")
    hosts.cloud.wait(server, "ACTIVE")
    assert boots(hosts.cloud, server, before + 1) == before + 1


def test_rebuild(hosts, server):
    here, _there = hosts.of(server)
    image = hosts.cloud.api.image.get_image(hosts.fresh(server).image.id)
    hosts.compute.rebuild_server(server, image=image)
    hosts.cloud.wait(server, "ACTIVE", MOVE)
    hosts.assert_lives_on(here, server)
    eventually(lambda: boots(hosts.cloud, server) == 1, 90, "a first boot of the rebuilt disk")


def test_shelved_on_one_host_and_unshelved_on_the_other(hosts, boot):
    here, there = hosts.nodes
    server = boot(here)
    before = boots(hosts.cloud, server)
    hosts.compute.shelve_server(server)
    hosts.cloud.wait(server, "SHELVED_OFFLOADED", MOVE)
    for node in hosts.nodes:
        hosts.assert_nothing_on(node, server)
    hosts.compute.unshelve_server(server, host=there.name)
    hosts.cloud.wait(server, "ACTIVE", MOVE)
    hosts.assert_lives_on(there, server, cached=False)
    assert boots(hosts.cloud, server, before + 1) == before + 1
