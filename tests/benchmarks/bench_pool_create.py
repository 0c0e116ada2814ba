# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dir pool from nothing to active with autostart, against community.libvirt.virt_pool."""

from __future__ import annotations

from collections.abc import Iterator

from .frame import Machine, Result, ratio_of_medians
from .libvirt_host import private_host
from .playbook import run_tasks
from .pool_tasks import our_tasks, peer_tasks

PAIRS = 15
PEER = "community.libvirt.virt_pool, 4 tasks; start of the playbook taken off"


def measure(_machine: Machine) -> Iterator[Result]:
    """The pool and its directory are removed after each run."""
    with private_host() as host:
        path = host.folder / "pool"

        def cost(tasks: list[dict]) -> float:
            seconds = run_tasks(host, tasks, changed=True)
            host.virsh("pool-destroy", "pool")
            host.virsh("pool-undefine", "pool")
            path.rmdir()
            return seconds

        ratio, seconds, peer_seconds = ratio_of_medians(
            lambda: cost(our_tasks("pool", str(path))),
            lambda: cost(peer_tasks("pool", str(path))),
            PAIRS,
        )
    yield Result("pool_create", ratio, "ratio", 0.4, PEER, PAIRS)
    yield Result("pool_create_seconds", seconds, "s", None, "", PAIRS)
    yield Result("pool_create_peer_seconds", peer_seconds, "s", None, PEER, PAIRS)
