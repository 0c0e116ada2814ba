# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""containers.podman's connection with pipelining: one `podman exec` a task instead of four."""

from __future__ import annotations

DOCUMENTATION = """
name: piped_podman
author: polyvisor contributors
short_description: The connection containers.podman.podman with pipelining
description:
  - A module is sent to the Python of the container through standard input, which podman passes on
    if it is asked for an interactive command.
options:
  remote_addr:
    description: Name or ID of the container.
    default: inventory_hostname
    vars: [{name: inventory_hostname}, {name: ansible_host}]
  remote_user:
    description: User in the container.
    vars: [{name: ansible_user}]
  podman_extra_args:
    description: Arguments of podman before its command.
    default: ""
    vars: [{name: ansible_podman_extra_args}]
  podman_executable:
    description: The program podman.
    default: podman
    vars: [{name: ansible_podman_executable}]
  pipelining:
    description: Send modules through standard input.
    type: bool
    default: true
    vars: [{name: ansible_pipelining}]
"""

from ansible_collections.containers.podman.plugins.connection import podman


class Connection(podman.Connection):
    """A container that podman runs."""

    transport = "piped_podman"
    has_pipelining = True

    def _podman(self, cmd, cmd_args=None, in_data=None, use_container_id=True):
        """Run podman, with the command's standard input open where there is something to send."""
        if in_data is not None:
            cmd = [*([cmd] if isinstance(cmd, str) else cmd), "--interactive"]
        return super()._podman(cmd, cmd_args, in_data, use_container_id)
