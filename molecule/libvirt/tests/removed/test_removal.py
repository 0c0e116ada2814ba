# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After an entry has left the list, nothing of it is left but its data."""

from __future__ import annotations

testinfra_hosts = ["podman://polyvisor-molecule-libvirt"]


def test_unit_is_gone(unit):
    properties = unit("fake")
    assert properties["LoadState"] == "not-found"
    assert properties["ActiveState"] == "inactive"


def test_no_process_is_left(host):
    lines = host.check_output("grep --null-data --no-filename ^/etc/nova /proc/[0-9]*/cmdline")
    files = lines.replace("\0", "\n").split()
    assert "/etc/nova/compute/nova-pools.conf" in files
    assert not [file for file in files if "fake" in file]


def test_no_file_is_left(host):
    found = host.check_output(
        "find /etc/nova /etc/systemd /etc/logrotate.d /var/log/nova -name '*fake*'"
    )
    assert found == ""


def test_data_is_kept(host):
    assert host.file("/var/lib/nova/fake/compute_id").exists


def test_service_record_is_pruned_and_the_other_one_up(cloud):
    assert cloud["services"] == {"molecule-pools": {"state": "up", "status": "enabled"}}


def test_the_other_process_runs(unit):
    properties = unit("pools")
    assert properties["ActiveState"] == "active"
    assert properties["NRestarts"] == "0"


def test_the_upgraded_plugin_is_the_one_in_use(host):
    package = "/opt/nova-compute/venv/lib/python3.*/site-packages/nova_polyvisor/__init__.py"
    assert "another build" in host.check_output(f"tail -n 1 {package}")
