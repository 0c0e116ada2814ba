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
      - V(dir) is a directory, V(fs) a file system on a block device that libvirt mounts, V(netfs)
        a network file system that libvirt mounts (NFS, GlusterFS, CIFS), V(disk) a whole block
        device whose partitions are the volumes.
      - V(logical) is an LVM volume group and V(zfs) a ZFS pool, which is taken if it is there and
        made of O(source.devices) if it is not.
      - V(iscsi) is an iSCSI target that the kernel logs in to, V(iscsi-direct) one that libvirt
        speaks to by itself, V(scsi) a SCSI or Fibre Channel host adapter, V(mpath) all multipath
        devices of the machine. Their volumes come from outside; libvirt makes and deletes none.
      - V(rbd) is a Ceph pool, V(gluster) a Gluster volume that QEMU speaks to, V(sheepdog) a
        Sheepdog cluster (libvirt before 8.8), V(vstorage) a Virtuozzo Storage cluster.
      - A type that the daemon has no storage backend for is refused.
    type: str
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
  source:
    description:
      - Where the storage comes from, as in the C(<source>) of libvirt's XML.
      - What is not stated stays as it is. A list, and O(source.adapter) and O(source.auth), are
        replaced as a whole.
      - What has no meaning for the type of pool is refused.
    type: dict
    suboptions:
      hosts:
        description:
          - The server of V(netfs), V(iscsi), V(iscsi-direct), V(sheepdog) and V(gluster), or the
            monitors of V(rbd), in any order.
        type: list
        elements: dict
        suboptions:
          name:
            description: Host name or address.
            type: str
            required: true
          port:
            description:
              - The server's port. Without it, the one of the protocol; to state that one is no
                difference.
            type: int
      dir:
        description:
          - The exported directory of V(netfs). With O(source.format=cifs) the name of the share,
            with O(source.format=glusterfs) the name of the volume, without a leading slash.
          - The directory in the volume of V(gluster), where it is V(/) if it is not stated.
        type: str
      devices:
        description:
          - Block devices. One for V(fs) and V(disk), any number for V(logical) and V(zfs), in any
            order.
          - The name (IQN) of the target for V(iscsi) and V(iscsi-direct).
          - A path below C(/dev/disk/by-id) stays the same over restarts.
        type: list
        elements: str
      part_separator:
        description:
          - Whether there is a C(p) between the name of a V(disk) and the number of a partition.
            For multipath devices that are not named as the device mapper does.
        type: bool
      name:
        description:
          - The volume group of V(logical), the ZFS pool or dataset of V(zfs); the pool's own name
            if it is not stated.
          - The Ceph pool of V(rbd), the volume of V(gluster), the cluster of V(vstorage), the name
            in V(sheepdog).
        type: str
      adapter:
        description: The host adapter of V(scsi).
        type: dict
        suboptions:
          type:
            description: A SCSI host, or a virtual host adapter of Fibre Channel (NPIV).
            type: str
            choices: [scsi_host, fc_host]
            default: scsi_host
          name:
            description: The SCSI host, for example V(scsi_host1). Its number may change at a boot.
            type: str
          parentaddr:
            description: The SCSI host by its PCI address, which stays the same over boots.
            type: dict
            suboptions:
              unique_id:
                description: What C(/sys/class/scsi_host/host*/unique_id) says.
                type: int
                required: true
              domain:
                description: PCI domain.
                type: str
                default: "0x0000"
              bus:
                description: PCI bus.
                type: str
                default: "0x00"
              slot:
                description: PCI slot.
                type: str
                required: true
              function:
                description: PCI function.
                type: str
                default: "0x0"
          wwnn:
            description: World wide node name of the V(fc_host) adapter.
            type: str
          wwpn:
            description: World wide port name of the V(fc_host) adapter.
            type: str
          parent:
            description: The physical adapter, by name.
            type: str
          parent_wwnn:
            description: The physical adapter, by its node name; together with the port name.
            type: str
          parent_wwpn:
            description: The physical adapter, by its port name; together with the node name.
            type: str
          parent_fabric_wwn:
            description: The physical adapter, by the fabric that it is in.
            type: str
          managed:
            description:
              - Whether libvirt removes the virtual adapter when the pool stops. libvirt sets it for
                an adapter that it has made.
            type: bool
      format:
        description:
          - The file system of V(fs), for example V(ext4) or V(xfs). Without it libvirt mounts
            whatever there is, and cannot make one.
          - The network file system of V(netfs), V(nfs), V(glusterfs) or V(cifs).
          - The partition table of V(disk), for example V(gpt) or V(dos).
        type: str
      initiator:
        description: The name (IQN) by which V(iscsi) and V(iscsi-direct) log in.
        type: str
      auth:
        description:
          - How to log in to the server of V(iscsi), V(iscsi-direct) or V(rbd). The password is a
            libvirt secret, see M(polyvisor.compute.libvirt_secret).
        type: dict
        suboptions:
          type:
            description: V(chap) for iSCSI, V(ceph) for RBD.
            type: str
            choices: [chap, ceph]
            required: true
          username:
            description: The user.
            type: str
            required: true
          secret:
            description: The libvirt secret that holds the password or key, by name or by UUID.
            type: dict
            required: true
            suboptions:
              usage:
                description: Its name, O(polyvisor.compute.libvirt_secret#module:name).
                type: str
              uuid:
                description: Its UUID.
                type: str
      vendor:
        description: The vendor of the storage, for humans.
        type: str
      product:
        description: The product, for humans.
        type: str
      protocol_version:
        description: The version of NFS that V(netfs) mounts with, for example V("4.2").
        type: str
  target:
    description: Where the pool's volumes appear, as in the C(<target>) of libvirt's XML.
    type: dict
    suboptions:
      path:
        description:
          - Absolute path of the directory (V(dir)), of the mount point (V(fs), V(netfs),
            V(vstorage)), or of the directory of the device nodes (V(disk), where it is V(/dev) if
            it is not stated; V(iscsi) and V(scsi), where it is V(/dev/disk/by-path)).
          - V(logical) and V(zfs) have it by their name, V(iscsi-direct), V(rbd), V(sheepdog) and
            V(gluster) have none.
        type: path
      permissions:
        description:
          - Permissions that the directory gets when it is built. For V(dir) they are compared,
            and set, afterwards too, unless O(build=never).
          - For V(fs), V(netfs) and V(vstorage) they are those of the mount point, which the mounted
            file system hides; they are not compared.
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
  features:
    description: Features of the pool.
    type: dict
    suboptions:
      cow:
        description:
          - Whether files of a V(dir) or V(fs) pool on btrfs are copied on write. libvirt turns that
            off if it is not stated.
        type: bool
  mount_options:
    description:
      - Options that V(fs) and V(netfs) are mounted with, as in C(mount -o), in any order. An empty
        list removes them.
      - libvirt passes them on unchecked, and calls this unsupported.
    type: list
    elements: str
  rbd_options:
    description:
      - Options of Ceph's client for V(rbd), by name. An empty dictionary removes them.
      - libvirt passes them on unchecked, and calls this unsupported.
    type: dict
  volume_allocation:
    description:
      - How libvirt finds the allocation of the volumes of V(rbd) when it refreshes the pool.
        V(default) computes it, V(capacity) takes the capacity for it, which is quick.
    type: str
    choices: [default, capacity]
  xml:
    description:
      - The pool's definition as
        L(libvirt's XML,https://libvirt.org/formatstorage.html#storage-pool-xml), instead of the
        options above.
      - It is the whole definition, so that what it does not say goes away. It is compared on
        meaning; order, blanks, units, figures and what libvirt passes over are no difference.
      - Its C(<name>) can be left out, and so can its C(<uuid>). libvirt changes neither of a pool
        that is there.
    type: str
  state:
    description:
      - V(active) is defined and started, V(inactive) defined and stopped.
      - V(undefined) is stopped and forgotten by libvirt; the data stays.
      - V(deleted) also removes the volumes and then the directory, mount point or partition
        table or volume group. It needs O(delete_data=true), and is refused while a domain, or a
        volume of another pool, uses one of the volumes, and for types whose volumes come from
        outside.
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
      - With V(never) and O(state=inactive) the definition is stored, and nothing else is looked at.
      - V(if_needed) makes a directory that is missing, and formats a device that is empty. A
        device that carries the wanted format is taken with its data, one that carries something
        else is refused. A volume group or ZFS pool that is missing is made of O(source.devices).
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
  - A path, device or remote source that another pool has is refused.
  - Definitions are read by libvirt's own parser, which libvirt-python brings along
    (its C(test) driver, inside the module's process); no daemon but the one of O(uri) is asked.
  - Two runs at once on one pool end in one state. A run that is cut short leaves the old state, or
    one that the next run completes.
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
    mount_options: [noatime]

- name: Give a whole disk to libvirt, and lose what is on it
  polyvisor.compute.libvirt_pool:
    name: partitions
    type: disk
    source:
      devices: [/dev/vdc]
      format: gpt
    build: overwrite

- name: Mount an NFS export as a pool
  polyvisor.compute.libvirt_pool:
    name: shared
    type: netfs
    source:
      hosts:
        - name: nfs.example.com
      dir: /export/images
      format: nfs
      protocol_version: "4.2"
    target:
      path: /srv/shared
    mount_options: [nosuid, nodev]

- name: Mount a Gluster volume as a pool
  polyvisor.compute.libvirt_pool:
    name: bricks
    type: netfs
    source:
      hosts:
        - name: gluster.example.com
      dir: images
      format: glusterfs
    target:
      path: /srv/bricks

- name: Use the LVM volume group vg0, or make it of two disks
  polyvisor.compute.libvirt_pool:
    name: lvm
    type: logical
    source:
      name: vg0
      devices: [/dev/vdd, /dev/vde]

- name: Log the machine in to an iSCSI target
  polyvisor.compute.libvirt_pool:
    name: san
    type: iscsi
    source:
      hosts:
        - name: iscsi.example.com
      devices: [iqn.2026-11.com.example:target]

- name: Keep the password of an iSCSI target
  polyvisor.compute.libvirt_secret:
    usage: iscsi
    name: storage.example.com
    value: "{{ vaulted_password }}"
    private: true

- name: Use an iSCSI target with a password, without the kernel's initiator
  polyvisor.compute.libvirt_pool:
    name: units
    type: iscsi-direct
    source:
      hosts:
        - name: iscsi.example.com
      devices: [iqn.2026-11.com.example:target]
      initiator: iqn.2026-11.com.example:host1
      auth:
        type: chap
        username: pools
        secret:
          usage: storage.example.com

- name: Use what is attached to a SCSI host, found by its PCI address
  polyvisor.compute.libvirt_pool:
    name: scsi
    type: scsi
    source:
      adapter:
        parentaddr:
          unique_id: 1
          slot: "0x1f"
          function: "0x2"

- name: Make a virtual Fibre Channel adapter and use what it sees
  polyvisor.compute.libvirt_pool:
    name: fabric
    type: scsi
    source:
      adapter:
        type: fc_host
        parent: scsi_host5
        wwnn: "20000000c9831b4b"
        wwpn: "10000000c9831b4b"

- name: Show the machine's multipath devices as volumes
  polyvisor.compute.libvirt_pool:
    name: paths
    type: mpath

- name: Use a Ceph pool
  polyvisor.compute.libvirt_pool:
    name: ceph
    type: rbd
    source:
      hosts:
        - name: mon1.example.com
        - name: mon2.example.com
      name: libvirt
      auth:
        type: ceph
        username: libvirt
        secret:
          usage: client.libvirt
    rbd_options:
      client_mount_timeout: 45
    volume_allocation: capacity

- name: Use a Gluster volume without mounting it
  polyvisor.compute.libvirt_pool:
    name: gluster
    type: gluster
    source:
      hosts:
        - name: gluster.example.com
      name: images
      dir: /

- name: Use a ZFS pool
  polyvisor.compute.libvirt_pool:
    name: zfs
    type: zfs
    source:
      name: tank/libvirt

- name: Use a Sheepdog cluster (libvirt before 8.8)
  polyvisor.compute.libvirt_pool:
    name: sheepdog
    type: sheepdog
    source:
      hosts:
        - name: localhost
          port: 7000
      name: cluster

- name: Use a Virtuozzo Storage cluster
  polyvisor.compute.libvirt_pool:
    name: vstorage
    type: vstorage
    source:
      name: cluster
    target:
      path: /mnt/vstorage

- name: Define a pool by libvirt's XML
  polyvisor.compute.libvirt_pool:
    name: disks
    xml: |
      <pool type='dir'>
        <name>disks</name>
        <target>
          <path>/srv/disks</path>
        </target>
      </pool>

- name: Move a running pool to another directory, and restart it there
  polyvisor.compute.libvirt_pool:
    name: disks
    target:
      path: /srv/moved
    restart: true

- name: Stop a pool, and keep it from starting with the daemon
  polyvisor.compute.libvirt_pool:
    name: images
    state: inactive
    autostart: false

- name: Define a pool without touching its storage
  polyvisor.compute.libvirt_pool:
    name: later
    type: dir
    target:
      path: /srv/later
    state: inactive
    build: never

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
        - Where the storage comes from, with the keys of the option O(source); what is not stated is
          none or empty.
      type: dict
      returned: success
    target:
      description: The path and the permissions, with the keys of the option O(target).
      type: dict
      returned: success
    features:
      description: The features, with the keys of the option O(features).
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
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import pool, run
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.argspec import (
    LIBVIRT_ARGUMENTS,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.pool_argspec import (
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
