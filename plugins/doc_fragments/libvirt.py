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
      - V(qemu:///system) is the machine's own daemon, for root and the group C(libvirt).
        V(qemu:///session) is the daemon of the user that the task runs as, with pools of its own;
        libvirt starts it. V(lxc:///system) reaches the same pools as V(qemu:///system).
      - V(qemu+ssh://root@host/system) goes through C(ssh), with the keys and the C(known_hosts) of
        the user that the task runs as; C(?keyfile=/path) names another key, and C(?no_tty=1) keeps
        ssh from asking for a password. V(qemu+tls://host/system) takes the certificates of
        C(/etc/pki), see L(libvirt's guide,https://libvirt.org/kbase/tlscerts.html), and verifies
        the server's.
      - With a remote URI, paths and devices are those of the daemon's machine, and what can only
        be looked at there (whether a path is a directory, what a device carries) is left for the
        daemon itself to judge. To run a task where its files are, delegate it instead.
    type: str
    default: qemu:///system
  timeout:
    description:
      - How many seconds the daemon may be silent, while connecting and afterwards, before the task
        fails. V(0) waits for ever.
      - It does not bound the time that an operation takes. A daemon that works answers libvirt's
        keepalive messages, one that hangs, or whose machine is gone, does not.
      - A task connects once and does not reconnect. If the connection breaks, it fails and says
        so, and can be run again (with C(retries) and C(until), for example); what it had begun is
        completed then.
    type: int
    default: 60
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
