# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input, and a plugin that does not load, leave everything as it was."""

from __future__ import annotations


def test_no_process_was_restarted(process):
    assert process.unit["MainPID"] == process.before["pids"][process.name]


def test_bad_options_did_not_reach_the_configuration(pools):
    assert "no_such_option" not in pools.host.file(pools.configuration).content_string


def test_plugin_that_failed_is_rolled_back(pools):
    assert "__version__" in pools.plugin
    assert "broken on purpose" not in pools.plugin


def test_services_are_enabled_again(cloud):
    statuses = {service["status"] for service in cloud["services"].values()}
    assert statuses == {"enabled"}


def test_hosts_after_the_one_that_failed_were_left_alone(switched):
    assert switched == 2 * ["polyvisor-molecule-1-pools"]
