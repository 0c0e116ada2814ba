# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills at chosen points of a run of the demo."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable

from .cloud import ROOT, SUDO

SEED = int(os.environ.get("POLYVISOR_SEED", "1"))
FULL = "POLYVISOR_TEST_FULL" in os.environ
#: What tells a process of the demo from others, by the command line.
VICTIMS = {
    "libvirtd": r"^/usr/sbin/libvirtd( --timeout [0-9]+)?$",
    "nova-compute": "nova-compute .*nova-pools.conf",
}


def points(what: str, first: int, last: int, few: int, many: int) -> list[int]:
    """Task numbers between first and last: a few by the seed, or many for the slow tier."""
    chosen = random.Random(f"{SEED} {what}").sample(range(first, last + 1), many if FULL else few)
    return sorted(chosen)


def kill_by_name(pattern: str) -> None:
    """SIGKILL whatever matches; that there is no such process is an outcome, too."""
    subprocess.run([*SUDO, "pkill", "-KILL", "-f", pattern], check=False)


def runs(pattern: str) -> bool:
    """Whether there is a process that matches."""
    found = subprocess.run([*SUDO, "pgrep", "-f", pattern], check=False, capture_output=True)
    return found.returncode == 0


def interrupted_demo(task: int, kill: Callable[[subprocess.Popen], None]) -> tuple[bool, str]:
    """Run `make demo` and call `kill` with its process when it starts that task.

    Returns whether the point was reached, and what was printed.
    """
    run = subprocess.Popen(
        ["make", "--no-print-directory", "demo", "NO_COLOR=1"],
        # The demo's own output names a task when it is over.
        env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
        cwd=ROOT,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    seen, lines = 0, []
    with run.stdout:
        for line in run.stdout:
            lines.append(line)
            seen += line.startswith("TASK [")
            if seen == task and line.startswith("TASK ["):
                kill(run)
    run.wait()
    return seen >= task, "".join(lines)


def kill_run(run: subprocess.Popen) -> None:
    """SIGKILL the run itself, with all that it started on this side."""
    # The double dash: without it, some releases of kill take the group for a signal.
    subprocess.run([*SUDO, "kill", "-KILL", "--", f"-{run.pid}"], check=False)
