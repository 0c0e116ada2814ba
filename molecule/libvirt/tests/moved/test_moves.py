# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with pool volumes moves between two hosts, each with pools of its own."""

from __future__ import annotations

import pytest

from tests.e2e.cloud import eventually


@pytest.fixture(scope="module")
def server(hosts, flavor):
    """A server that the tests of this module share; each leaves it ACTIVE."""
    with hosts.booting(flavor) as boot:
        yield boot(hosts.nodes[0], disk=2, ephemeral=1, swap=64)


@pytest.fixture
def grown(hosts, server, flavor):
    """A flavor with larger disks than the server's; Nova has recorded the ephemeral one's size."""
    now = hosts.fresh(server).flavor
    return flavor(disk=now["disk"] + 1, ephemeral=now["ephemeral"], swap=now["swap"] + 32)


def test_resize_to_the_other_host_and_back(hosts, server, grown):
    here, there = hosts.of(server)
    before = hosts.boots(server)
    sizes = {name: volume.capacity for name, volume in here.volumes_of(server).items()}
    with hosts.only(there):
        hosts.compute.resize_server(server, grown)
        hosts.wait(server, "VERIFY_RESIZE")
    assert hosts.of(server) == (there, here)
    assert there.runs(server)
    assert not here.runs(server)
    assert {name: volume.capacity for name, volume in here.volumes_of(server).items()} == sizes
    hosts.compute.revert_server_resize(server)
    hosts.wait(server, "ACTIVE")
    assert hosts.of(server) == (here, there)
    hosts.assert_lives_on(here, server)
    assert hosts.boots(server, before + 1) == before + 1


def test_resize_to_the_other_host_for_good(hosts, server, grown):
    _here, there = hosts.of(server)
    before = hosts.boots(server)
    with hosts.only(there):
        hosts.compute.resize_server(server, grown)
        hosts.wait(server, "VERIFY_RESIZE")
    hosts.compute.confirm_server_resize(server)
    hosts.wait(server, "ACTIVE")
    assert hosts.fresh(server).flavor["disk"] == grown.disk
    hosts.assert_lives_on(there, server)
    assert hosts.boots(server, before + 1) == before + 1


def test_resize_on_the_same_host_and_back(hosts, server, grown):
    here, _there = hosts.of(server)
    before = hosts.boots(server)
    with hosts.only(here):
        hosts.compute.resize_server(server, grown)
        hosts.wait(server, "VERIFY_RESIZE")
    assert here.volumes_of(server)["disk"].capacity == grown.disk * 1024**3
    hosts.compute.revert_server_resize(server)
    hosts.wait(server, "ACTIVE")
    hosts.assert_lives_on(here, server)
    assert hosts.boots(server, before + 1) == before + 1


def test_resize_down_is_refused(hosts, server, flavor):
    """The API refuses a smaller root disk by itself; the driver, a smaller ephemeral one."""
    here, _there = hosts.of(server)
    now = hosts.fresh(server).flavor
    hosts.compute.resize_server(server, flavor(disk=now["disk"], ephemeral=0, swap=now["swap"]))
    hosts.wait(server, "ACTIVE")
    action = next(hosts.compute.server_actions(server))
    assert (action.action, action.message) == ("resize", "Error")
    assert hosts.of(server)[0] == here
    assert here.runs(server)
    hosts.assert_lives_on(here, server)


def test_cold_migration_and_back(hosts, server):
    here, there = hosts.of(server)
    before = hosts.boots(server)
    hosts.compute.migrate_server(server, host=there.name)
    hosts.wait(server, "VERIFY_RESIZE")
    assert hosts.boots(server, before + 1) == before + 1
    hosts.compute.revert_server_resize(server)
    hosts.wait(server, "ACTIVE")
    hosts.assert_lives_on(here, server)
    assert hosts.boots(server, before + 1) == before + 1


def test_cold_migration_for_good(hosts, server):
    _here, there = hosts.of(server)
    before = hosts.boots(server)
    hosts.compute.migrate_server(server, host=there.name)
    hosts.wait(server, "VERIFY_RESIZE")
    hosts.compute.confirm_server_resize(server)
    hosts.wait(server, "ACTIVE")
    hosts.assert_lives_on(there, server)
    assert hosts.boots(server, before + 1) == before + 1


def test_live_migration_there_and_back(hosts, server):
    here, there = hosts.of(server)
    before = hosts.boots(server)
    for source, target in ((here, there), (there, here)):
        hosts.compute.live_migrate_server(server, host=target.name, block_migration="auto")
        hosts.wait(server, "ACTIVE")
        assert hosts.of(server) == (target, source)
        assert target.runs(server)
        hosts.assert_lives_on(target, server)
    hosts.compute.reboot_server(server, "HARD")
    hosts.wait(server, "ACTIVE")
    assert hosts.boots(server, before + 1) == before + 1


def test_rebuild(hosts, server):
    here, _there = hosts.of(server)
    image = hosts.cloud.api.image.get_image(hosts.fresh(server).image.id)
    hosts.compute.rebuild_server(server, image=image)
    hosts.wait(server, "ACTIVE")
    hosts.assert_lives_on(here, server)
    eventually(lambda: hosts.boots(server) == 1, 240, "a first boot of the rebuilt disk")


def test_shelved_on_one_host_and_unshelved_on_the_other(hosts, boot):
    here, there = hosts.nodes
    server = boot(here)
    before = hosts.boots(server)
    hosts.compute.shelve_server(server)
    hosts.wait(server, "SHELVED_OFFLOADED")
    for node in hosts.nodes:
        hosts.assert_nothing_on(node, server)
    hosts.compute.unshelve_server(server, host=there.name)
    hosts.wait(server, "ACTIVE")
    hosts.assert_lives_on(there, server, cached=False)
    assert hosts.boots(server, before + 1) == before + 1
