# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the documentation of the libvirt modules has in common."""

from __future__ import annotations


class ModuleDocFragment:
    """Stands beside LIBVIRT_ARGUMENTS in module_utils/_libvirt/argspec.py."""

    DOCUMENTATION = r"""
options:
  uri:
    description:
      - The libvirt daemon to speak to, as a L(connection URI,https://libvirt.org/uri.html).
      - With a remote URI, paths and devices are those of the daemon's machine, and what can only
        be looked at there (whether a path is a directory, what a device carries) is left for the
        daemon itself to judge.
    type: str
    default: qemu:///system
requirements:
  - libvirt-python (Debian, Ubuntu and RedHat call it C(python3-libvirt)) on the machine where the
    module runs
  - A running libvirt daemon with its storage driver, version 9 or later
"""

    ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, without changing anything.
  diff_mode:
    description: Returns what changed, or would change, in diff mode.
  action_group:
    description: Takes defaults (for example of O(uri)) from C(module_defaults) of its group.
    support: full
    membership:
      - polyvisor.compute.libvirt
"""
