#!/usr/bin/python
# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_volume
short_description: Manage volumes of libvirt storage pools
version_added: 1.0.0
author:
  - polyvisor contributors (@polyvisor)
description:
  - Creates, copies, resizes and deletes a volume of an active storage pool.
  - A volume is empty, or a full copy of another one (O(clone)), or one that holds only what differs
    from another image (O(backing)).
extends_documentation_fragment:
  - polyvisor.compute.libvirt
  - polyvisor.compute.libvirt.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  pool:
    description: The pool that holds the volume. It has to be active.
    type: str
    required: true
  name:
    description:
      - The volume's name. It must not hold a slash.
      - In a pool of type C(disk) a volume is a partition, and its name is that of the next one, for
        example V(vdc1).
    type: str
    required: true
  state:
    description:
      - V(present) exists, as the other options say.
      - V(absent) does not exist; B(what it held is lost). Refused while a domain (running or not)
        has the volume among its disks, or another volume lies on it.
    type: str
    choices: [present, absent]
    default: present
  capacity:
    description:
      - The size that the volume has for who uses it.
      - A plain number is bytes. V(10GiB) and V(10G) are the same, V(10GB) is decimal. K, M, G, T, P
        and E are known.
      - Needed for a new volume without O(clone) and O(backing), whose capacity it has otherwise.
        It must not be less than theirs.
      - A volume that exists is resized. Less than it has needs O(allow_shrink). Not while a
        running domain has it. Only volumes that are files can be resized.
      - Most formats round it up to the next 512 bytes. That is no difference.
    type: str
  allocation:
    description:
      - How much of the capacity to reserve when the volume is made, in the units of O(capacity).
      - Not compared afterwards, as it changes with use.
    type: str
    default: "0"
  format:
    description:
      - The format of the image, for example V(raw) or V(qcow2) (made with C(compat 1.1)). In a
        pool of type C(disk), the partition's type.
      - Without it, a volume with O(backing) is V(qcow2), a clone has the format of its source, and
        any other is V(raw).
      - The format of a volume that exists cannot be changed; another one is refused.
    type: str
  clone:
    description:
      - The volume that a new one is a full copy of. It may be in another pool, and have another
        format.
      - A volume that exists already is not compared with it.
    type: dict
    suboptions:
      pool:
        description: The pool of the source.
        type: str
        required: true
      name:
        description: The name of the source.
        type: str
        required: true
  backing:
    description:
      - The image that the volume lies on. State O(backing.pool) and O(backing.name), or
        O(backing.path).
      - A volume that exists on another image is refused.
    type: dict
    suboptions:
      pool:
        description: The pool of the backing volume.
        type: str
      name:
        description: The name of the backing volume.
        type: str
      path:
        description: The path of the backing image.
        type: path
      format:
        description:
          - The format of the backing image. Taken from the volume without it; needed for a path
            that is no volume of an active pool.
        type: str
  permissions:
    description:
      - Permissions of the volume's file. Not compared, and not set, while a running domain has the
        volume, as libvirt gives it to the domain's user.
    type: dict
    suboptions:
      mode:
        description: Octal mode. Quote it, for example V("0600").
        type: str
      owner:
        description: Numeric user ID.
        type: int
      group:
        description: Numeric group ID.
        type: int
      label:
        description: Security label (SELinux) of a new volume; not compared afterwards.
        type: str
  allow_shrink:
    description: Consent to a O(capacity) that is less than before, and to the loss of the rest.
    type: bool
    default: false
notes:
  - With O(state=absent), a pool that does not exist is no error.
  - A volume that could not be completed is removed.
seealso:
  - module: polyvisor.compute.libvirt_volume_info
  - module: polyvisor.compute.libvirt_pool
  - name: libvirt storage volumes
    description: The XML of a volume, and what each pool can do.
    link: https://libvirt.org/formatstorage.html
"""

EXAMPLES = r"""
- name: Create an empty image
  polyvisor.compute.libvirt_volume:
    pool: nova-disks-pool
    name: data.qcow2
    capacity: 10GiB
    format: qcow2

- name: Create a volume that holds only what differs from another
  polyvisor.compute.libvirt_volume:
    pool: nova-disks-pool
    name: server_disk
    capacity: 20GiB
    backing:
      pool: nova-base-images-pool
      name: debian-12

- name: Copy a volume, and make the copy larger
  polyvisor.compute.libvirt_volume:
    pool: nova-disks-pool
    name: copy.raw
    clone:
      pool: nova-disks-pool
      name: data.qcow2
    format: raw
    capacity: 15GiB

- name: Delete a volume
  polyvisor.compute.libvirt_volume:
    pool: nova-disks-pool
    name: data.qcow2
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in this order.
  returned: success
  type: list
  elements: str
  sample: [create]
volume:
  description:
    - The volume as it is after the task, or in check mode as it is now. Null where there is none.
  returned: success
  type: dict
  sample:
    pool: nova-disks-pool
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
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import run, volume
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.argspec import (
    LIBVIRT_ARGUMENTS,
    VOLUME_ARGUMENTS,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**LIBVIRT_ARGUMENTS, **VOLUME_ARGUMENTS},
        mutually_exclusive=[("clone", "backing", "upload")],
        supports_check_mode=True,
    )
    findings = volume.Findings()
    run.ensure(module, lambda client: volume.plan(client, module.params, findings))


if __name__ == "__main__":
    main()
