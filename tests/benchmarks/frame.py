# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every benchmark shares: a result, a fair comparison with a peer, the table.

A benchmark is a generator function named ``bench_*`` in a module ``bench_*.py`` of this
directory; it yields a `Result` for each number. Smaller is better.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass


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


def ratio_of_medians(
    ours: Callable[[], float], peer: Callable[[], float], pairs: int
) -> tuple[float, float, float]:
    """Run both in turn and compare: (ratio, median of ours, median of the peer).

    Each callable does the work once and returns its cost. One pair more than ``pairs`` is run
    and dropped, to warm what there is to warm; who goes first changes from pair to pair.
    """
    costs: dict[Callable[[], float], list[float]] = {ours: [], peer: []}
    for number in range(pairs + 1):
        order = (ours, peer) if number % 2 else (peer, ours)
        for work in order:
            cost = work()
            if number:
                costs[work].append(cost)
    medians = statistics.median(costs[ours]), statistics.median(costs[peer])
    return medians[0] / medians[1], *medians


def table(results: list[Result]) -> str:
    """The results for a person to read, one a line."""
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
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )
