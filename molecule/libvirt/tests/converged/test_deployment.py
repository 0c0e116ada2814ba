# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deployment is what the inventory describes."""

from __future__ import annotations

import configparser
import hashlib

import pytest

HARDENING = {"ProtectSystem": "yes", "ProtectHome": "yes", "PrivateTmp": "yes"}


def test_unit_is_enabled_and_running(process):
    properties = process.unit
    assert properties["UnitFileState"] == "enabled"
    assert properties["ActiveState"] == "active"
    assert properties["NRestarts"] == "0"


def test_process_runs_as_nova(process):
    assert process.host.file(f"/proc/{process.unit['MainPID']}").user == "nova"


@pytest.mark.parametrize(
    "program", ["genisoimage", "qemu-img", "mkfs.ext4", "mkfs.vfat", "mkswap", "uptime"]
)
def test_program_that_nova_starts_is_installed(pools, program):
    assert pools.host.exists(program)


def test_unit_is_hardened(process):
    properties = process.unit
    assert {option: properties[option] for option in HARDENING} == HARDENING


def test_log_is_written_and_private(process):
    log = process.host.file(f"/var/log/nova/nova-compute-{process.name}.log")
    assert log.size > 0
    assert log.user == "nova"
    assert not process.host.file("/var/log/nova").mode & 0o007


def test_user_cannot_log_in(pools):
    user = pools.host.user("nova")
    assert user.shell.endswith("nologin")
    assert "libvirt" in user.groups


def test_sudo_grants_the_privsep_helper_alone(pools):
    file = pools.host.file("/etc/sudoers.d/polyvisor-nova-compute")
    assert (file.user, file.group, file.mode) == ("root", "root", 0o440)
    assert pools.host.run("visudo --check").succeeded
    bin_dir = pools.unit["ExecStart"].partition("path=")[2].partition("/nova-compute ")[0]
    rootwrap = f"{bin_dir}/nova-rootwrap /etc/nova/compute/rootwrap.conf"

    def helper(config=pools.configuration, context="nova.privsep.sys_admin_pctxt"):
        return (
            f"{rootwrap} privsep-helper --config-file {config} --config-dir "
            f"{pools.configuration.removesuffix('conf')}d --privsep_context {context} "
            "--privsep_sock_path /tmp/tmpabc/privsep.sock"
        )

    def granted(command):
        return pools.host.run(
            f"runuser -u nova -- sudo --non-interactive --list {command}"
        ).succeeded

    assert granted(helper())
    assert not granted(helper(config="/tmp/mine.conf"))
    assert not granted(helper(context="os.system"))
    assert not granted(f"{rootwrap} /bin/true")
    assert not granted("/bin/true")


def test_configuration_is_root_s_and_readable_by_nova_alone(process):
    file = process.host.file(process.configuration)
    assert (file.user, file.group, file.mode) == ("root", "nova", 0o640)


def test_secrets_are_readable_by_no_one_else(pools, control):
    secret = control["config"]["keystone_authtoken"]["password"]
    found = pools.host.run(
        "grep --recursive --files-with-matches --fixed-strings -- %s /etc/nova /var/log "
        "/var/lib/nova /etc/systemd",
        f"password = {secret}",
    )
    holders = [pools.host.file(path) for path in found.stdout.splitlines()]
    assert pools.configuration in [file.path for file in holders]
    assert [file.path for file in holders if not file.path.startswith("/etc/nova/compute/")] == []
    assert [file.path for file in holders if file.mode & 0o007] == []


def test_secrets_are_in_no_command_line(process, control):
    pid = process.unit["MainPID"]
    shown = process.host.check_output("tr '\\0' ' ' </proc/%s/cmdline", pid)
    assert "nova-compute" in shown
    assert control["config"]["DEFAULT"]["transport_url"] not in shown


def test_sections_of_an_entry_reach_its_configuration_alone(pools, fake):
    def sections(process):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(process.host.file(process.configuration).content_string)
        return parser

    assert sections(pools)["libvirt"]["virt_type"] in ("kvm", "qemu")
    assert not sections(fake).has_section("libvirt")


@pytest.mark.parametrize("pool", ["nova-disks-pool", "nova-base-images-pool"])
def test_pool_is_active_and_starts_with_libvirt(pools, pool):
    lines = pools.host.check_output("virsh pool-info %s", pool).splitlines()
    shown = dict(line.split(":", 1) for line in lines if ":" in line)
    assert shown["State"].strip() == "running"
    assert shown["Autostart"].strip() == "yes"


def test_plugin_is_known_by_its_content(pools):
    assert pools.record["source"] != hashlib.sha256(b"").hexdigest()
    assert pools.record["source"] in pools.record["wheel"]


def test_service_is_up_and_mapped_to_its_cell(process, cloud, mapped):
    service = cloud["services"][process.nova_host]
    assert (service["state"], service["status"]) == ("up", "enabled")
    assert process.nova_host in mapped


def test_each_process_is_a_compute_node_of_its_own(process, fake, cloud):
    assert process.identity in cloud["providers"]
    assert process.nova_host == fake.nova_host or process.identity != fake.identity


def test_provider_configuration_reaches_placement(fake, pools, cloud):
    tagged = [uuid for uuid, traits in cloud["providers"].items() if "CUSTOM_MOLECULE" in traits]
    assert tagged == [fake.identity]
    assert not pools.host.file("/etc/nova/compute/nova-pools.providers/provider.yaml").exists


@pytest.mark.parametrize(("number", "kind"), [(1, "dir"), (2, "fs")])
def test_disks_of_each_host_lie_in_a_pool_of_another_type(computes, number, kind):
    host = computes[f"polyvisor-molecule-{number}"].host
    shown = host.check_output("virsh pool-dumpxml nova-disks-pool")
    assert f"<pool type='{kind}'>" in shown
    mounted = host.check_output("findmnt --noheadings --output FSTYPE --target /var/lib/nova/disks")
    assert (mounted == "ext4" and host.mount_point("/var/lib/nova/disks").exists) is (kind == "fs")
