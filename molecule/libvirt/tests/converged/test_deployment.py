# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deployment is what the inventory describes."""

from __future__ import annotations

import configparser

import pytest

testinfra_hosts = ["podman://polyvisor-molecule-libvirt"]

HOSTS = {"pools": "molecule-pools", "fake": "molecule-fake"}
HARDENING = {"ProtectSystem": "yes", "ProtectHome": "yes", "PrivateTmp": "yes"}


@pytest.fixture(params=sorted(HOSTS))
def name(request):
    """Name of a deployed process."""
    return request.param


def test_unit_is_enabled_and_running(unit, name):
    properties = unit(name)
    assert properties["UnitFileState"] == "enabled"
    assert properties["ActiveState"] == "active"
    assert properties["NRestarts"] == "0"


def test_process_runs_as_nova(host, unit, name):
    assert host.file(f"/proc/{unit(name)['MainPID']}").user == "nova"


def test_unit_is_hardened(unit, name):
    properties = unit(name)
    assert {option: properties[option] for option in HARDENING} == HARDENING


def test_log_is_written_and_private(host, name):
    log = host.file(f"/var/log/nova/nova-compute-{name}.log")
    assert log.size > 0
    assert log.user == "nova"
    assert not host.file("/var/log/nova").mode & 0o007


def test_user_cannot_log_in(host):
    user = host.user("nova")
    assert user.shell.endswith("nologin")
    assert "libvirt" in user.groups


def test_sudo_grants_the_privsep_helper_alone(host):
    file = host.file("/etc/sudoers.d/polyvisor-nova-compute")
    assert (file.user, file.group, file.mode) == ("root", "root", 0o440)
    assert host.run("visudo --check").succeeded
    sudo = "runuser -u nova -- sudo --non-interactive"
    rootwrap = "/opt/nova-compute/venv/bin/nova-rootwrap /etc/nova/compute/rootwrap.conf"
    assert host.run(f"{sudo} {rootwrap} privsep-helper --help").succeeded
    for command in ("/bin/true", f"{rootwrap} /bin/true", f"{rootwrap}.d/x privsep-helper"):
        refused = host.run(f"{sudo} {command}")
        assert "a password is required" in refused.stderr, command


def test_configuration_is_root_s_and_readable_by_nova_alone(host, name):
    file = host.file(f"/etc/nova/compute/nova-{name}.conf")
    assert (file.user, file.group, file.mode) == ("root", "nova", 0o640)


def test_secrets_are_readable_by_no_one_else(host, control):
    secret = control["config"]["keystone_authtoken"]["password"]
    found = host.run(
        "grep --recursive --files-with-matches --fixed-strings -- %s /etc/nova /var/log "
        "/var/lib/nova /etc/systemd",
        f"password = {secret}",
    )
    holders = [host.file(path) for path in found.stdout.splitlines()]
    assert {file.path for file in holders} == {
        f"/etc/nova/compute/nova-{name}.conf" for name in HOSTS
    }
    assert not [file.path for file in holders if file.mode & 0o007]


def test_secrets_are_in_no_command_line(host, control, unit, name):
    shown = host.check_output("tr '\\0' ' ' </proc/%s/cmdline", unit(name)["MainPID"])
    assert "nova-compute" in shown
    assert control["config"]["DEFAULT"]["transport_url"] not in shown


def test_sections_of_an_entry_reach_its_configuration_alone(host):
    configurations = {}
    for name in HOSTS:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(host.file(f"/etc/nova/compute/nova-{name}.conf").content_string)
        configurations[name] = parser
    assert configurations["pools"]["libvirt"]["virt_type"] in ("kvm", "qemu")
    assert not configurations["fake"].has_section("libvirt")


@pytest.mark.parametrize("pool", ["nova-disks-pool", "nova-base-images-pool"])
def test_pool_is_active_and_starts_with_libvirt(host, pool):
    lines = host.check_output("virsh pool-info %s", pool).splitlines()
    shown = dict(line.split(":", 1) for line in lines if ":" in line)
    assert shown["State"].strip() == "running"
    assert shown["Autostart"].strip() == "yes"


def test_nova_has_the_services_up(cloud):
    up = {"state": "up", "status": "enabled"}
    assert cloud["services"] == dict.fromkeys(HOSTS.values(), up)


def test_each_process_is_a_compute_node_of_its_own(host, cloud):
    identities = {
        host.file(f"/var/lib/nova/{name}/compute_id").content_string.strip() for name in HOSTS
    }
    assert len(identities) == len(HOSTS)
    assert identities <= set(cloud["providers"])


def test_provider_configuration_reaches_placement(host, cloud):
    tagged = [uuid for uuid, traits in cloud["providers"].items() if "CUSTOM_MOLECULE" in traits]
    assert tagged == [host.file("/var/lib/nova/fake/compute_id").content_string.strip()]
    assert not host.file("/etc/nova/compute/nova-pools.providers/provider.yaml").exists
