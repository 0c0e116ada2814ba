# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of one process's configuration restarts this one alone."""

from __future__ import annotations


def test_changed_process_runs_anew(fake):
    assert "reserved_host_memory_mb = 640" in fake.host.file(fake.configuration).content_string
    properties = fake.unit
    assert properties["ActiveState"] == "active"
    assert properties["MainPID"] != fake.before["pids"]["fake"]


def test_other_processes_were_not_restarted(pools):
    assert pools.unit["MainPID"] == pools.before["pids"]["pools"]


def test_only_the_changed_process_was_drained(fake, switched, cloud):
    assert switched == 2 * [fake.nova_host]
    assert cloud["services"][fake.nova_host]["status"] == "enabled"
