# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make demo` promises, asserted on the API, libvirt and the console."""

from __future__ import annotations

import re

from .cloud import BASE_POOL, CLOUDS, DISKS_POOL, MARKER, make, run, volumes, volumes_of

GIB = 1024**3


def test_report_shows_server_console_volumes_times_and_next_steps(demo, demo_server):
    for expected in ("ACTIVE", "polyvisor.libvirt.StoragePoolDriver", demo_server.id, MARKER):
        assert expected in demo
    assert f"{demo_server.id}_disk" in demo
    assert BASE_POOL in demo
    assert "openstack" in demo
    assert "virsh" in demo
    assert str(CLOUDS) in demo


def test_report_and_stages_are_lines_for_a_person(demo):
    lines = demo.splitlines()
    assert f"  | polyvisor-guest: {MARKER}" in lines
    assert "How long each stage took" in lines
    stages = [re.match(r"Stage (\d+) of (\d+): \w", line) for line in lines]
    numbers = [(int(stage[1]), int(stage[2])) for stage in stages if stage]
    assert numbers == [(number, 6) for number in range(1, 7)]


def test_second_run_changes_nothing(demo):
    again = make("demo")
    assert again.returncode == 0, again.stdout
    recap = re.search(r"localhost +: ok=\d+ +changed=(\d+) +unreachable=0 +failed=0", again.stdout)
    assert recap, again.stdout
    assert recap[1] == "0", again.stdout


def test_server_is_active_on_the_deployed_compute(cloud, demo_server):
    assert demo_server.status == "ACTIVE"
    (service,) = [s for s in cloud.api.compute.services() if s.binary == "nova-compute"]
    assert (service.state, service.status) == ("up", "enabled")
    assert demo_server.compute_host == service.host


def test_disk_is_a_volume_on_top_of_the_image_cache(demo_server):
    disk = volumes_of(demo_server.id)["disk"]
    assert disk.format == "qcow2"
    cache = volumes(BASE_POOL)
    assert disk.backing.rpartition("/")[2] in cache


def test_domain_names_pool_and_volume_and_no_file(demo_server):
    xml = run("virsh", "dumpxml", "--inactive", demo_server.id)
    assert "<disk type='volume'" in xml
    assert f"<source pool='{DISKS_POOL}' volume='{demo_server.id}_disk'" in xml
    assert "<disk type='file'" not in xml


def test_kernel_and_ramdisk_are_volumes(demo_server):
    assert {"kernel", "ramdisk"} <= set(volumes_of(demo_server.id))
    xml = run("virsh", "dumpxml", demo_server.id)
    assert f"{demo_server.id}_kernel</kernel>" in xml
    assert f"{demo_server.id}_ramdisk</initrd>" in xml


def test_guest_speaks_on_its_serial_console(cloud, demo_server):
    cloud.wait_for_console(demo_server, MARKER)


def test_disk_capacity_in_placement_is_the_pools(cloud, demo_server):
    info = dict(
        line.split(":", 1)
        for line in run("virsh", "pool-info", "--bytes", DISKS_POOL).splitlines()
        if ":" in line
    )
    (provider,) = cloud.api.placement.resource_providers()
    inventory = cloud.api.placement.get_resource_provider_inventory("DISK_GB", provider)
    assert inventory.total == int(info["Capacity"]) // GIB


def test_nova_compute_runs_without_root():
    pids = run("pgrep", "-f", "nova-compute .*nova-pools.conf").split()
    owners = {run("ps", "-o", "user=", "-p", pid).strip() for pid in pids}
    assert owners == {"nova"}


def test_secrets_are_not_for_everybody():
    exposed = run(
        "find", "/etc/mini-cloud", "/etc/nova/compute", "-type", "f", "-perm", "/007"
    ).split()
    leaking = [path for path in exposed if "password" in run("cat", path)]
    assert leaking == []
