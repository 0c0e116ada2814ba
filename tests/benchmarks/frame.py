# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every benchmark shares: a result, the demo, a fair comparison with a peer, the table.

A benchmark is a file ``bench_<name>.py`` of this directory with a generator function
``measure(machine)``, which yields a `Result` for each number. Smaller is better.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import openstack

from tests.e2e.cloud import ROOT, Cloud, make

#: The note that the demo makes before anything else, and that demo-clean removes last.
DEMO_RECORD = Path("/var/lib/polyvisor-demo/before.json")
RED, PLAIN = "\033[31m", "\033[0m"


class BenchmarkError(Exception):
    """A benchmark could not be run; the text says why."""


#: What may go wrong on a machine without a mistake in the benchmark.
FAILURES = (
    BenchmarkError,
    AssertionError,
    OSError,
    subprocess.SubprocessError,
    openstack.exceptions.SDKException,
)


def say(text: str) -> None:
    """Tell how it goes; standard output is the table's."""
    print(text, file=sys.stderr, flush=True)


def explain(error: BaseException) -> str:
    """An error for a person to read, with what a command printed."""
    return "\n".join(filter(None, (str(error), getattr(error, "stderr", None))))


def run_make(target: str) -> str:
    """What `make TARGET` prints.

    :raises BenchmarkError: it failed
    """
    done = make(target)
    if done.returncode:
        raise BenchmarkError(f"make {target} failed:\n{done.stdout}")
    return done.stdout


@dataclass(frozen=True)
class Result:
    """One measured number.

    ``value`` is in ``unit``; ``limit`` is the largest value that is good enough, None where
    there is none; ``peer`` says what it was compared with, "" for an absolute number.
    """

    name: str
    value: float
    unit: str
    limit: float | None
    peer: str
    repetitions: int

    @property
    def within_limit(self) -> bool:
        return self.limit is None or self.value <= self.limit

    def as_dict(self) -> dict:
        return asdict(self)


class Machine:
    """This machine, and what benchmarks need on it: made once, undone when all have run.

    :param cleanup: takes what is to be undone
    """

    def __init__(self, cleanup: contextlib.ExitStack) -> None:
        self._cleanup = cleanup
        self._cloud: Cloud | None = None

    def demo(self) -> Cloud:
        """The demo's cloud. A demo that was there before stays, any other is undone.

        :raises BenchmarkError: `make demo` failed
        """
        if self._cloud is None:
            if DEMO_RECORD.exists():
                run_make("demo")
            else:
                self._make_demo()
            self._cloud = Cloud()
        return self._cloud

    def _make_demo(self) -> None:
        say("There is no demo on this machine: `make demo` follows, and is undone in the end")
        self._cleanup.callback(run_make, "demo-clean")
        command = ("make", "--no-print-directory", "demo")
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
        )
        if done.returncode:
            raise BenchmarkError("make demo failed: see above")


def ratio_of_medians(
    ours: Callable[[], float], peer: Callable[[], float], pairs: int
) -> tuple[float, float, float]:
    """Run both in turn and compare: (ratio, median of ours, median of the peer).

    Each callable does the work once and returns its cost; as ratios_of_medians.
    """
    return ratios_of_medians(lambda: {"": ours()}, lambda: {"": peer()}, pairs)[""]


def ratios_of_medians(
    ours: Callable[[], dict[str, float]], peer: Callable[[], dict[str, float]], pairs: int
) -> dict[str, tuple[float, float, float]]:
    """Run both in turn and compare each cost: (ratio, median of ours, median of the peer).

    Each callable does the work once and returns its costs by their names. One pair more than
    ``pairs`` is run and dropped, to warm what there is to warm; who goes first changes from pair
    to pair.
    """
    costs: dict[Callable, list[dict[str, float]]] = {ours: [], peer: []}
    for number in range(pairs + 1):
        order = (ours, peer) if number % 2 else (peer, ours)
        for work in order:
            cost = work()
            if number:
                costs[work].append(cost)
        if number:
            pair = zip(costs[ours][-1].items(), costs[peer][-1].values(), strict=True)
            told = ", ".join(f"{name} {own:.3g} to {its:.3g}".strip() for (name, own), its in pair)
            say(f"  pair {number} of {pairs}: {told}")
    found = {}
    for name in costs[ours][0]:
        medians = [statistics.median(cost[name] for cost in costs[work]) for work in (ours, peer)]
        found[name] = (medians[0] / medians[1], *medians)
    return found


def table(results: list[Result], colour: bool) -> str:
    """The results for a person to read, one a line; red, if wanted, what is over its limit."""
    rows = [("name", "value", "unit", "limit", "peer", "repetitions", "")]
    rows += [
        (
            r.name,
            f"{r.value:.3g}",
            r.unit,
            "-" if r.limit is None else f"{r.limit:g}",
            r.peer or "-",
            str(r.repetitions),
            "" if r.within_limit else "OVER THE LIMIT",
        )
        for r in results
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]
    for number, result in enumerate(results, 1):
        if colour and not result.within_limit:
            lines[number] = f"{RED}{lines[number]}{PLAIN}"
    return "\n".join(lines)
