#!/usr/bin/python
# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_volume_info
short_description: Gather information about volumes of libvirt storage pools
version_added: 1.0.0
author:
  - polyvisor contributors (@polyvisor)
description:
  - Returns the volumes of one active storage pool, or of all of them.
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
  pool:
    description: The pool to look into. It has to be active. Without it, all active pools.
    type: str
  name:
    description:
      - The volume to return. Without it, all of them.
      - If there is none of that name, the result is an empty list.
    type: str
  format:
    description: Only volumes of this format, for example V(qcow2).
    type: str
  path:
    description: Only the volume with this path. Looked up directly, so that it costs next to nothing.
    type: path
notes:
  - It costs two calls to libvirt a pool and one a volume, whatever is returned of it.
seealso:
  - module: polyvisor.compute.libvirt_volume
  - module: polyvisor.compute.libvirt_pool_info
"""

EXAMPLES = r"""
- name: Look at one volume
  polyvisor.compute.libvirt_volume_info:
    pool: nova-disks-pool
    name: server_disk
  register: found

- name: Fail if it is not there
  ansible.builtin.assert:
    that: found.volumes | length == 1

- name: Find out which volume a path is
  polyvisor.compute.libvirt_volume_info:
    path: /var/lib/nova/disks/server_disk

- name: Look at all volumes of all active pools
  polyvisor.compute.libvirt_volume_info:
"""

RETURN = r"""
volumes:
  description: The volumes, ordered by pool and name.
  returned: success
  type: list
  elements: dict
  sample:
    - pool: nova-disks-pool
      name: server_disk
      key: /var/lib/nova/disks/server_disk
      path: /var/lib/nova/disks/server_disk
      type: file
      format: qcow2
      capacity: 21474836480
      allocation: 200704
      physical: 196616
      backing:
        path: /var/lib/nova/instances/_base/debian-12
        format: raw
      encryption: null
      permissions:
        mode: "0600"
        owner: 0
        group: 0
        label: null
      xml: <volume type='file'>...</volume>
  contains:
    pool:
      description: The pool that holds the volume.
      type: str
      returned: success
    name:
      description: The volume's name.
      type: str
      returned: success
    key:
      description: What identifies the volume for libvirt; for a file its path.
      type: str
      returned: success
    path:
      description: Path of the file or device.
      type: str
      returned: success
    type:
      description: V(file), V(block), V(dir), V(network), V(netdir) or V(ploop).
      type: str
      returned: success
    format:
      description: Format of the image, or type of the partition.
      type: str
      returned: success
    capacity:
      description: Bytes that the volume offers.
      type: int
      returned: success
    allocation:
      description: Bytes that the volume takes.
      type: int
      returned: success
    physical:
      description: Length of the file or device in bytes. Null where libvirt does not say.
      type: int
      returned: success
    backing:
      description: C(path) and C(format) of the image that the volume lies on, or null.
      type: dict
      returned: success
    encryption:
      description: Format of the volume's encryption, for example V(luks), or null.
      type: str
      returned: success
    permissions:
      description:
        - C(mode) (octal string), C(owner), C(group) (numbers) and C(label) of the file, or null.
      type: dict
      returned: success
    xml:
      description: libvirt's XML of the volume.
      type: str
      returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import info, run
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.argspec import (
    LIBVIRT_ARGUMENTS,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_argspec import (
    VOLUME_INFO_ARGUMENTS,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_client import (
    VolumeClient,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**LIBVIRT_ARGUMENTS, **VOLUME_INFO_ARGUMENTS},
        supports_check_mode=True,
    )
    filters = [module.params[name] for name in ("pool", "name", "format", "path")]
    run.report(module, lambda client: {"volumes": info.volumes(client, *filters)}, VolumeClient)


if __name__ == "__main__":
    main()
