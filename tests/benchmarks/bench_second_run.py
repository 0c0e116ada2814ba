# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second run of the deployment: what it costs to find that nothing is to be done."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator

from tests.e2e.cloud import make

from .frame import Result

RUNS = 5


def bench_second_run() -> Iterator[Result]:
    """Seconds and tasks of `make demo` where all stands already."""
    seconds, tasks = [], 0
    for number in range(RUNS + 1):
        start = time.perf_counter()
        done = make("demo")
        if done.returncode:
            raise SystemExit(done.stdout)
        if number:
            seconds.append(time.perf_counter() - start)
            recap = re.search(r"localhost +: ok=(\d+) +changed=0 ", done.stdout)
            if not recap:
                raise SystemExit(f"the second run changed something:\n{done.stdout}")
            tasks = int(recap[1])
    yield Result("second_run_seconds", statistics.median(seconds), "s", None, "", RUNS)
    yield Result("second_run_tasks", tasks, "tasks", None, "", RUNS)
