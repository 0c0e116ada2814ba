# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dir pool that is as it should be, against community.libvirt.virt_pool."""

from __future__ import annotations

from collections.abc import Iterator

from .frame import Machine, Result, ratio_of_medians
from .libvirt_host import private_host
from .playbook import run_tasks
from .pool_tasks import our_tasks, peer_tasks

PAIRS = 15
PEER = "community.libvirt.virt_pool, 3 tasks and one skipped; start of the playbook taken off"


def measure(_machine: Machine) -> Iterator[Result]:
    """The pool is there; the tasks find nothing to do."""
    with private_host() as host:
        path = str(host.folder / "pool")
        run_tasks(host, our_tasks("pool", path), changed=True)
        ratio, seconds, peer_seconds = ratio_of_medians(
            lambda: run_tasks(host, our_tasks("pool", path), changed=False),
            lambda: run_tasks(host, peer_tasks("pool", path), changed=False),
            PAIRS,
        )
    yield Result("pool_no_change", ratio, "ratio", 0.5, PEER, PAIRS)
    yield Result("pool_no_change_seconds", seconds, "s", None, "", PAIRS)
    yield Result("pool_no_change_peer_seconds", peer_seconds, "s", None, PEER, PAIRS)
