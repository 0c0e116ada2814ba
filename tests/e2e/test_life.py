# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a server on pool volumes, through the API of the demo's cloud."""

from __future__ import annotations

import subprocess

import pytest

from .cloud import BASE_POOL, IMAGE, boots, eventually, run, volumes, volumes_of

GIB = 1024**3
MIB = 1024**2


def domain_state(server) -> str:
    """The state that libvirt tells of a server's domain; "" where there is no domain."""
    found = subprocess.run(
        ["virsh", "domstate", server.id], text=True, capture_output=True, check=False
    )
    return found.stdout.strip()


@pytest.fixture(scope="module")
def server(cloud):
    """A server that the tests of this module share; each leaves it ACTIVE."""
    made = cloud.boot("e2e-life")
    yield cloud.wait(made, "ACTIVE")
    cloud.delete(made)


def test_stop_and_start(cloud, server):
    before = boots(cloud, server)
    cloud.api.compute.stop_server(server)
    cloud.wait(server, "SHUTOFF")
    assert domain_state(server) in ("shut off", "")
    assert set(volumes_of(server.id)) >= {"disk"}
    cloud.api.compute.start_server(server)
    cloud.wait(server, "ACTIVE")
    assert boots(cloud, server, before + 1) == before + 1


@pytest.mark.parametrize("kind", ["SOFT", "HARD"])
def test_reboot(cloud, server, kind):
    before = boots(cloud, server)
    cloud.api.compute.reboot_server(server, kind)
    cloud.wait(server, "ACTIVE")
    assert domain_state(server) == "running"
    assert boots(cloud, server, before + 1) == before + 1


def test_pause_and_unpause(cloud, server):
    cloud.api.compute.pause_server(server)
    cloud.wait(server, "PAUSED")
    assert domain_state(server) == "paused"
    cloud.api.compute.unpause_server(server)
    cloud.wait(server, "ACTIVE")
    assert domain_state(server) == "running"


def test_suspend_and_resume(cloud, server):
    cloud.api.compute.suspend_server(server)
    cloud.wait(server, "SUSPENDED")
    assert domain_state(server) == "shut off"
    cloud.api.compute.resume_server(server)
    cloud.wait(server, "ACTIVE")
    assert domain_state(server) == "running"


def test_rescue_and_unrescue(cloud, server):
    before = set(volumes_of(server.id))
    cloud.api.compute.rescue_server(server)
    cloud.wait(server, "RESCUE")
    assert "disk.rescue" in volumes_of(server.id)
    assert f"{server.id}_disk.rescue" in run("virsh", "dumpxml", server.id)
    cloud.api.compute.unrescue_server(server)
    cloud.wait(server, "ACTIVE")
    assert set(volumes_of(server.id)) == before


@pytest.mark.parametrize("running", [True, False], ids=["live", "cold"])
def test_snapshot_boots(cloud, server, boot, running):
    before = boots(cloud, server)
    if not running:
        cloud.api.compute.stop_server(server)
        cloud.wait(server, "SHUTOFF")
    image = cloud.api.compute.create_server_image(
        server, name="e2e-snapshot", wait=True, timeout=120
    )
    try:
        assert cloud.api.image.get_image(image.id).status == "active"
        copy = boot(image_id=image.id)
        assert boots(cloud, copy, before + 1) == before + 1
        cloud.delete(copy)
    finally:
        cloud.api.image.delete_image(image.id)
        if not running:
            cloud.wait(server, "SHUTOFF")
            cloud.api.compute.start_server(server)
        cloud.wait(server, "ACTIVE")


def test_rebuild_gives_a_new_disk_from_the_image(cloud, boot):
    server = boot()
    assert boots(cloud, server) == 1
    cloud.api.compute.reboot_server(server, "HARD")
    cloud.wait(server, "ACTIVE")
    assert boots(cloud, server, 2) == 2
    image = cloud.api.image.find_image(IMAGE)
    cloud.api.compute.rebuild_server(server, image=image)
    cloud.wait(server, "ACTIVE")
    eventually(lambda: boots(cloud, server) == 1, 90, "a first boot of the rebuilt server's disk")
    assert volumes_of(server.id)["disk"].backing.rpartition("/")[2] in volumes(BASE_POOL)


def test_shelve_leaves_no_volume_and_unshelve_brings_the_disk_back(cloud, boot):
    server = boot()
    before = boots(cloud, server)
    cloud.api.compute.shelve_server(server)
    cloud.wait(server, "SHELVED_OFFLOADED", 180)
    assert volumes_of(server.id) == {}
    assert server.id not in run("virsh", "list", "--all", "--uuid")
    cloud.api.compute.unshelve_server(server)
    cloud.wait(server, "ACTIVE", 180)
    assert boots(cloud, server, before + 1) == before + 1


def test_resize_on_the_one_host(cloud, boot, flavor):
    server = boot(flavor_id=flavor(disk=1).id)
    before = boots(cloud, server)
    for answer, size in (("revert", GIB), ("confirm", 2 * GIB)):
        cloud.api.compute.resize_server(server, flavor(disk=2))
        cloud.wait(server, "VERIFY_RESIZE")
        assert volumes_of(server.id)["disk"].capacity == 2 * GIB
        getattr(cloud.api.compute, f"{answer}_server_resize")(server)
        cloud.wait(server, "ACTIVE")
        found = volumes_of(server.id)
        assert found["disk"].capacity == size
        assert [name for name in found if name.endswith(".before")] == []
        # A revert brings back the disk that the server had before it ran with the other flavor.
        before = boots(cloud, server, before + 1)


def test_ephemeral_swap_and_config_drive_are_volumes(cloud, boot, flavor):
    large = flavor(disk=2, ephemeral=1, swap=64)
    server = boot(flavor_id=large.id, config_drive=True)
    console = cloud.wait_for_console(server, "polyvisor-guest: ready")
    for name, size in (("vda", 2 * GIB), ("vdb", GIB), ("vdc", 64 * MIB)):
        assert f"disk {name}, {size} bytes" in console
    assert f'"uuid": "{server.id}"' in console
    found = volumes_of(server.id)
    assert found["disk"].capacity == 2 * GIB
    assert found["disk.swap"].capacity == 64 * MIB
    ephemeral = next(v for name, v in found.items() if name.startswith("disk.eph"))
    assert ephemeral.capacity == GIB
    assert "disk.config" in found
    assert "<disk type='file'" not in run("virsh", "dumpxml", "--inactive", server.id)


def test_delete_leaves_nothing(cloud, boot, flavor):
    large = flavor(disk=1, ephemeral=1, swap=64)
    server = boot(flavor_id=large.id, config_drive=True)
    cloud.delete(server)
    assert volumes_of(server.id) == {}
    assert server.id not in run("virsh", "list", "--all", "--uuid")
    assert run("find", "/var/lib/nova", "-name", f"*{server.id}*") == ""


def test_failed_boot_leaves_nothing(cloud, boot, flavor):
    """A machine type that QEMU does not have fails after the disks were made."""
    image = cloud.api.image.find_image(IMAGE)
    broken = cloud.api.image.create_image(
        name="e2e-broken",
        container_format="bare",
        disk_format=image.disk_format,
        data=cloud.api.image.download_image(image).content,
        hw_machine_type="no-such-machine",
    )
    try:
        server = boot(image_id=broken.id, wait="ERROR")
        assert server.fault["message"]
        assert volumes_of(server.id) == {}
        assert server.id not in run("virsh", "list", "--all", "--uuid")
    finally:
        cloud.api.image.delete_image(broken.id)


def test_servers_of_one_image_share_their_backing_volume(cloud, boot):
    first, second = boot(), boot()
    backings = {volumes_of(server.id)["disk"].backing for server in (first, second)}
    assert len(backings) == 1
    assert backings.pop().rpartition("/")[2] in volumes(BASE_POOL)
