# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kill at any point of the demo, and the next run ends in the same state.

What is killed and at which task follows from POLYVISOR_SEED; POLYVISOR_TEST_FULL tries many
points.
"""

from __future__ import annotations

import pytest

from .cloud import DEMO, MARKER, make, volumes_of
from .faults import VICTIMS, interrupted_demo, kill_by_name, kill_run, points

KILLS = {
    "playbook": kill_run,
    "libvirtd": lambda run: kill_by_name(VICTIMS["libvirtd"]),
    "nova-compute": lambda run: kill_by_name(VICTIMS["nova-compute"]),
}
CASES = [(victim, task) for victim in KILLS for task in points(victim, 20, 120, few=1, many=10)]


@pytest.mark.parametrize(("victim", "task"), CASES)
def test_killed_run_is_completed_by_the_next(cloud, demo_server, victim, task):
    server = cloud.api.compute.find_server(DEMO)
    if server:
        cloud.delete(server)
    reached, output = interrupted_demo(task, KILLS[victim])
    assert reached, f"there is no task {task}:\n{output}"

    healed = make("demo")
    assert healed.returncode == 0, healed.stdout

    (server,) = cloud.api.compute.servers(name=f"^{DEMO}$")
    assert server.status == "ACTIVE"
    assert "disk" in volumes_of(server.id)
    cloud.wait_for_console(server, MARKER)
