#!/usr/bin/python
# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_pool_info
short_description: Gather information about libvirt storage pools
version_added: 1.0.0
author:
  - polyvisor contributors (@polyvisor)
description:
  - Returns the storage pools of a libvirt daemon, and on request all their volumes, in one call.
extends_documentation_fragment:
  - polyvisor.compute.libvirt
  - polyvisor.compute.libvirt.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
options:
  name:
    description:
      - The pools to return. Without it, all of them.
      - A name that no pool has is left out of the result.
    type: list
    elements: str
  type:
    description: The types of the pools to return. Without it, any.
    type: list
    elements: str
    choices:
      - dir
      - fs
      - netfs
      - disk
      - logical
      - iscsi
      - iscsi-direct
      - scsi
      - mpath
      - rbd
      - sheepdog
      - gluster
      - zfs
      - vstorage
  state:
    description: The states of the pools to return. Without it, any.
    type: list
    elements: str
    choices: [active, inactive, building, degraded, inaccessible]
  volumes:
    description:
      - Whether to return the volumes too. A pool that is not active shows none.
    type: bool
    default: false
seealso:
  - module: polyvisor.compute.libvirt_pool
  - module: polyvisor.compute.libvirt_volume_info
"""

EXAMPLES = r"""
- name: Look at all pools with all their volumes
  polyvisor.compute.libvirt_pool_info:
    volumes: true
  register: storage

- name: Show how much is free
  ansible.builtin.debug:
    msg: "{{ storage.pools | items2dict(key_name='name', value_name='available') }}"

- name: Find the directories and file systems that are not started
  polyvisor.compute.libvirt_pool_info:
    type: [dir, fs]
    state: [inactive]

- name: Look at one pool
  polyvisor.compute.libvirt_pool_info:
    name: [nova-disks-pool]
"""

RETURN = r"""
pools:
  description: The pools, ordered by name.
  returned: success
  type: list
  elements: dict
  sample:
    - name: nova-disks-pool
      uuid: 5417ab9a-1693-44bd-91f1-607349a94979
      type: dir
      state: active
      autostart: true
      persistent: true
      capacity: 270553174016
      allocation: 25454931968
      available: 245098242048
      target_path: /var/lib/nova/disks
      source:
        devices: []
        hosts: []
      target:
        path: /var/lib/nova/disks
        permissions:
          mode: "0711"
          owner: 0
          group: 0
          label:
      features:
        cow:
      mount_options: []
      rbd_options: {}
      volume_allocation:
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
    source:
      description:
        - Where the storage comes from, with the keys of the option O(polyvisor.compute.libvirt_pool#module:source); what is not stated is
          none or empty.
      type: dict
      returned: success
    target:
      description: The path and the permissions, with the keys of the option O(polyvisor.compute.libvirt_pool#module:target).
      type: dict
      returned: success
    features:
      description: The features, with the keys of the option O(polyvisor.compute.libvirt_pool#module:features).
      type: dict
      returned: success
    mount_options:
      description: The options that it is mounted with.
      type: list
      elements: str
      returned: success
    rbd_options:
      description: The options of Ceph's client.
      type: dict
      returned: success
    volume_allocation:
      description: How the allocation of volumes is found, where that is stated.
      type: str
      returned: success
    xml:
      description: libvirt's XML of the pool.
      type: str
      returned: success
    volumes:
      description:
        - The volumes, ordered by name, as RV(polyvisor.compute.libvirt_volume_info#module:volumes)
          describes them.
      type: list
      elements: dict
      returned: if O(volumes=true)
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import info, run
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.argspec import (
    LIBVIRT_ARGUMENTS,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.pool_argspec import (
    POOL_INFO_ARGUMENTS,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_client import (
    VolumeClient,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**LIBVIRT_ARGUMENTS, **POOL_INFO_ARGUMENTS},
        supports_check_mode=True,
    )
    run.report(module, lambda client: {"pools": info.pools(client, module.params)}, VolumeClient)


if __name__ == "__main__":
    main()
