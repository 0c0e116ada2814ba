#!/usr/bin/python
# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_pool
short_description: Manage libvirt storage pools
version_added: 1.0.0
author:
  - polyvisor contributors (@polyvisor)
description:
  - Defines, builds, starts, changes, stops and removes a storage pool, in one task.
  - An existing pool is compared with the options on meaning. Only what the options state is
    compared and changed; what libvirt adds by itself is no difference.
extends_documentation_fragment:
  - polyvisor.compute.libvirt
  - polyvisor.compute.libvirt.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  name:
    description: The pool's name. It must not hold a slash.
    type: str
    required: true
  type:
    description:
      - What the pool is. Needed to make one; an existing pool keeps its type without it.
      - V(dir) is a directory, V(fs) a file system on a block device that libvirt mounts, V(disk)
        a whole block device whose partitions are the volumes.
    type: str
    choices: [dir, fs, disk]
  source:
    description:
      - Where the storage of V(fs) and V(disk) comes from, as in the C(<source>) of libvirt's XML.
    type: dict
    suboptions:
      devices:
        description:
          - Block devices. One for V(fs) and V(disk), none for V(dir).
          - A path below C(/dev/disk/by-id) stays the same over restarts.
        type: list
        elements: str
      format:
        description:
          - The file system of V(fs), for example V(ext4) or V(xfs). Without it libvirt mounts
            whatever there is, and cannot make one.
          - The partition table of V(disk), for example V(gpt) or V(dos).
        type: str
  target:
    description: Where the pool's volumes appear, as in the C(<target>) of libvirt's XML.
    type: dict
    suboptions:
      path:
        description:
          - Absolute path of the directory (V(dir)), of the mount point (V(fs)), or of the
            directory of the device nodes (V(disk), where it is V(/dev) if it is not stated).
        type: path
      permissions:
        description:
          - Permissions that the directory gets when it is built. For V(dir) they are compared,
            and set, afterwards too, unless O(build=never).
          - For V(fs) they are those of the mount point, which the mounted file system hides.
        type: dict
        suboptions:
          mode:
            description: Octal mode. Quote it, for example V("0711").
            type: str
          owner:
            description: Numeric user ID.
            type: int
          group:
            description: Numeric group ID.
            type: int
          label:
            description: Security label (SELinux), where the daemon has such a driver.
            type: str
  state:
    description:
      - V(active) is defined and started, V(inactive) defined and stopped.
      - V(undefined) is stopped and forgotten by libvirt; the data stays.
      - V(deleted) also removes the volumes and then the directory, mount point or partition
        table. It needs O(delete_data=true), and is refused while a domain, or a volume of another
        pool, uses one of the volumes.
    type: str
    choices: [active, inactive, undefined, deleted]
    default: active
  autostart:
    description:
      - Whether the pool starts together with the daemon.
      - Without it, an existing pool is left as it is, and a new one does not.
    type: bool
  build:
    description:
      - What to do so that the pool can start. V(never) does nothing.
      - V(if_needed) makes a directory that is missing, and formats a device that is empty. A
        device that carries the wanted format is taken with its data, one that carries something
        else is refused.
      - V(overwrite) formats the device whatever it carries when the pool is made, or when its type,
        device or format changes. B(What is on the device is lost.) A pool that is there already is
        never built again.
      - A device that the system uses (mounted, swap space, part of an array or a volume group) is
        refused always.
    type: str
    choices: [never, if_needed, overwrite]
    default: if_needed
  refresh:
    description:
      - Whether to have an active pool read its volumes anew. That is not reported as a change.
    type: bool
    default: false
  restart:
    description:
      - Whether to stop and start a running pool whose definition has changed.
      - Without it, the new definition is stored, the pool runs on as it was, and
        RV(restart_required) says so.
    type: bool
    default: false
  delete_data:
    description: Consent to the loss of data that O(state=deleted) asks for.
    type: bool
    default: false
notes:
  - A pool that runs without a definition (a transient one) gets one as soon as it is V(active) or
    V(inactive).
  - A path or device that another pool has is refused.
seealso:
  - module: polyvisor.compute.libvirt_pool_info
  - module: polyvisor.compute.libvirt_volume
  - name: libvirt storage pools
    description: What each type of pool is, and its XML.
    link: https://libvirt.org/storage.html
"""

EXAMPLES = r"""
- name: Keep a directory as an active pool that starts with the daemon
  polyvisor.compute.libvirt_pool:
    name: nova-disks-pool
    type: dir
    target:
      path: /var/lib/nova/disks
      permissions:
        mode: "0711"
    autostart: true

- name: Make a file system on an empty device and mount it as a pool
  polyvisor.compute.libvirt_pool:
    name: images
    type: fs
    source:
      devices: [/dev/vdb]
      format: ext4
    target:
      path: /srv/images

- name: Give a whole disk to libvirt, and lose what is on it
  polyvisor.compute.libvirt_pool:
    name: partitions
    type: disk
    source:
      devices: [/dev/vdc]
      format: gpt
    build: overwrite

- name: Stop a pool, and keep it from starting with the daemon
  polyvisor.compute.libvirt_pool:
    name: images
    state: inactive
    autostart: false

- name: Forget a pool, keep its data
  polyvisor.compute.libvirt_pool:
    name: images
    state: undefined

- name: Remove a pool with all its volumes
  polyvisor.compute.libvirt_pool:
    name: nova-disks-pool
    state: deleted
    delete_data: true
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in this order.
  returned: success
  type: list
  elements: str
  sample: [create, define, autostart]
restart_required:
  description: Whether the pool runs with another definition than the stored one.
  returned: success
  type: bool
  sample: false
pool:
  description: The pool as it is after the task, or in check mode as it is now.
  returned: success
  type: dict
  sample:
    name: nova-disks-pool
    uuid: 5417ab9a-1693-44bd-91f1-607349a94979
    type: dir
    state: active
    autostart: true
    persistent: true
    capacity: 270553174016
    allocation: 25454931968
    available: 245098242048
    target_path: /var/lib/nova/disks
    xml: <pool type='dir'>...</pool>
  contains:
    name:
      description: The pool's name.
      type: str
      returned: success
    uuid:
      description: The pool's UUID.
      type: str
      returned: success
    type:
      description: The pool's type.
      type: str
      returned: success
    state:
      description: V(active), V(inactive), V(building), V(degraded) or V(inaccessible).
      type: str
      returned: success
    autostart:
      description: Whether the pool starts with the daemon.
      type: bool
      returned: success
    persistent:
      description: Whether libvirt keeps the pool's definition when it stops.
      type: bool
      returned: success
    capacity:
      description: Size of the storage in bytes; 0 if the pool is not active.
      type: int
      returned: success
    allocation:
      description: Bytes that are taken; 0 if the pool is not active.
      type: int
      returned: success
    available:
      description: Bytes that are free; 0 if the pool is not active.
      type: int
      returned: success
    target_path:
      description: Where the volumes appear.
      type: str
      returned: success
    xml:
      description: libvirt's XML of the pool.
      type: str
      returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import pool, run
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.argspec import (
    LIBVIRT_ARGUMENTS,
    POOL_ARGUMENTS,
    POOL_EXCLUSIONS,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**LIBVIRT_ARGUMENTS, **POOL_ARGUMENTS},
        mutually_exclusive=POOL_EXCLUSIONS,
        supports_check_mode=True,
    )
    run.ensure(module, lambda client: pool.plan(client, module.params))


if __name__ == "__main__":
    main()
