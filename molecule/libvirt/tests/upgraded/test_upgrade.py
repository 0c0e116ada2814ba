# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rolling upgrade replaces the plugin host by host; an entry that has left the list is gone."""

from __future__ import annotations


def test_hosts_were_drained_one_after_the_other(switched):
    first, second = "polyvisor-molecule-1-pools", "polyvisor-molecule-2-pools"
    assert switched == [first, first, second, second]


def test_upgraded_process_runs_the_new_plugin(pools):
    assert "another build" in pools.plugin
    properties = pools.unit
    assert properties["ActiveState"] == "active"
    assert properties["NRestarts"] == "0"
    assert properties["MainPID"] != pools.before["pids"]["pools"]


def test_upgraded_service_is_up_and_the_removed_one_pruned(cloud):
    seen = {host: (one["state"], one["status"]) for host, one in cloud["services"].items()}
    assert seen == {
        "polyvisor-molecule-1-pools": ("up", "enabled"),
        "polyvisor-molecule-2-pools": ("up", "enabled"),
    }


def test_host_of_the_removed_process_is_in_no_cell(fake, mapped):
    assert "polyvisor-molecule-2-pools" in mapped
    assert fake.nova_host not in mapped


def test_unit_of_the_removed_process_is_gone(fake):
    properties = fake.unit
    assert properties["LoadState"] == "not-found"
    assert properties["ActiveState"] == "inactive"


def test_removed_process_has_ended(fake):
    shown = fake.host.check_output("grep --null-data --no-filename ^/etc/nova /proc/[0-9]*/cmdline")
    files = shown.replace("\0", "\n").split()
    assert "/etc/nova/compute/nova-pools.conf" in files
    assert [file for file in files if "fake" in file] == []


def test_no_file_of_the_removed_process_is_left(fake):
    found = fake.host.check_output(
        "find /etc/nova /etc/systemd /etc/logrotate.d /var/log/nova -name '*fake*'"
    )
    assert found == ""


def test_data_of_the_removed_process_is_kept(fake):
    assert fake.host.file("/var/lib/nova/fake/compute_id").exists
