# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool of type dir, active and started with the daemon: our task, and the peer's."""

from __future__ import annotations

PEER_MODULE = "community.libvirt.virt_pool"


def our_tasks(name: str, path: str) -> list[dict]:
    """One task says it all."""
    pool = {"name": name, "type": "dir", "target": {"path": path}, "autostart": True}
    return [{"name": "Make the pool", "polyvisor.compute.libvirt_pool": pool}]


def peer_tasks(name: str, path: str, build: bool) -> list[dict]:
    """The tasks of community.libvirt.

    :param build: whether to make the directory, which fails where the pool runs already
    """
    xml = f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
    steps = [{"command": "define", "xml": xml}]
    steps += [{"command": "build"}] if build else []
    steps += [{"state": "active"}, {"autostart": True}]
    return [
        {"name": f"Step {number}", PEER_MODULE: {"name": name, **step}}
        for number, step in enumerate(steps)
    ]
