# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second run of the deployment: what it costs to find that nothing is to be done."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator

from .frame import BenchmarkError, Machine, Result, run_make, say

RUNS = 5


def measure(machine: Machine) -> Iterator[Result]:
    """Seconds and tasks of `make demo` where all stands already."""
    machine.demo()
    seconds, tasks = [], 0
    for number in range(1, RUNS + 1):
        start = time.perf_counter()
        output = run_make("demo")
        seconds.append(time.perf_counter() - start)
        say(f"  run {number} of {RUNS}: {seconds[-1]:.3g} s")
        changed = re.findall(r"^  (.+): changed, ", output, re.MULTILINE)
        recap = re.search(r"^localhost +: ok=(\d+) +changed=0 ", output, re.MULTILINE)
        if not recap:
            raise BenchmarkError(f"the second run changed something, in tasks: {changed}")
        tasks = int(recap[1])
    yield Result("second_run_seconds", statistics.median(seconds), "s", None, "", RUNS)
    yield Result("second_run_tasks", tasks, "tasks", None, "", RUNS)
