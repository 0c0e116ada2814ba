# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool of type dir, active and started with the daemon: our task, and the peer's."""

from __future__ import annotations

PEER_MODULE = "community.libvirt.virt_pool"


def our_tasks(name: str, path: str) -> list[dict]:
    """One task says it all."""
    pool = {"name": name, "type": "dir", "target": {"path": path}, "autostart": True}
    return [{"name": "Make the pool", "polyvisor.compute.libvirt_pool": pool}]


def peer_tasks(name: str, path: str) -> list[dict]:
    """The tasks of community.libvirt; its build, which fails on an active pool, only after define."""
    xml = f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
    steps = [
        {"command": "define", "xml": xml},
        {"command": "build"},
        {"state": "active"},
        {"autostart": True},
    ]
    tasks = [
        {"name": f"Step {number}", PEER_MODULE: {"name": name, **step}}
        for number, step in enumerate(steps)
    ]
    tasks[0]["register"] = "definition"
    tasks[1]["when"] = "definition is changed"
    return tasks
