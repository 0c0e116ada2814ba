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
  - Creates, fills, copies, resizes, wipes and deletes a volume of an active storage pool, and writes
    its content to a file.
  - A new volume is empty, or a full copy of another one (O(clone)), or holds what a file holds
    (O(upload)), or only what differs from another image (O(backing)).
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
        has the volume among its disks, or another volume lies on it. See also O(wipe).
    type: str
    choices: [present, absent]
    default: present
  capacity:
    description:
      - The size that the volume has for who uses it.
      - A plain number is bytes. V(10GiB) and V(10G) are the same, V(10GB) is decimal. K, M, G, T, P
        and E are known.
      - Needed for a new volume without O(clone), O(backing) and O(upload), whose capacity it has
        otherwise. It must not be less than theirs. With O(upload) of an image that is not raw it
        must be the image's own.
      - A volume that exists is resized. Less than it has needs O(allow_shrink). Not while a
        running domain has it. Only volumes that are files can be resized.
      - Formats round it up, most of them to the next KiB, V(vpc) to the next cylinder, and LVM to
        the next extent. That is no difference.
    type: str
  allocation:
    description:
      - How much of the capacity to reserve when the volume is made, in the units of O(capacity).
      - Nothing without it; in a pool of type C(logical), all of the capacity. Less than all makes a
        sparse volume there, which LVM drops, with what it holds, once more was written to it than
        was reserved.
      - Not compared afterwards, as it changes with use.
    type: str
  format:
    description:
      - The format of the image. libvirt makes files of V(raw), V(qcow2) (with C(compat 1.1)),
        V(qcow), V(qed), V(vdi), V(vmdk), V(vpc), V(ploop) and V(dir). In a pool of type C(disk),
        the partition's type.
      - Without it, a volume with O(backing) is V(qcow2), a clone has the format of its source, an
        uploaded file is what it is, and any other is V(raw).
      - With O(upload) it has to be what the file is. V(iso) counts as V(raw).
      - The format of a volume that exists cannot be changed; another one is refused.
    type: str
  clone:
    description:
      - The volume that a new one is a full copy of. It may be in another pool, and have another
        format.
      - A volume that exists already is not compared with it.
      - In a pool of files of the machine where the module runs, the copy is made under another name
        and renamed when it is complete, so that there is never half a copy under O(name). Elsewhere
        a copy that libvirt itself dies in may look complete afterwards; see the notes.
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
  upload:
    description:
      - A file that the volume is to hold, on the machine where the module runs. For a file of the
        controller, delegate the task to it and name the host in O(uri), for example
        V(qemu+ssh://root@kvm1/system).
      - The file is sent as it is, without its holes, through a stream of the libvirt connection,
        and becomes a volume of the format that it has. Memory does not grow with its size. Where
        the volume is a file that the task itself can reach, it is written and read without the
        stream, which is faster.
      - Whether a volume that exists holds the file already is told by reading both, but for what is
        empty in them, until the first difference. It costs about as much as O(download). A volume
        that is smaller than the file needs no reading. In a pool of files, what is behind the end
        of the file has to be zero; in any other it does not count.
      - A volume that is replaced has the O(capacity) and format of a new one, and keeps its mode,
        owner and group.
      - If the upload fails, no half volume is left, and one that was there is as it was, but with
        O(upload.in_place). What a kill can leave is told in the notes.
    type: dict
    suboptions:
      src:
        description: Path of the file.
        type: path
        required: true
      replace:
        description:
          - When a volume that holds something else is given the file's content. It is lost, then.
          - With V(never) a volume that exists is left as it is, and is not read; right for the disk
            that a guest is to write to.
          - With V(unused) the task fails if a domain (running or not) has the volume, or another
            volume lies on it; otherwise the content is replaced.
          - With V(stopped) only a running domain, or a volume on top, prevents it.
        type: str
        choices: [never, unused, stopped]
        default: unused
      in_place:
        description:
          - Consent to overwrite a volume that exists where it lies, in a pool that is not made of
            files. A failure half-way leaves it half overwritten; the next run goes on.
          - Needed in pools whose volumes libvirt cannot copy, such as those of type C(disk) or
            C(iscsi). In one of type C(logical) it saves the space and time of a second copy.
        type: bool
        default: false
  download:
    description:
      - A file to write the volume to, on the machine where the module runs, with the same holes.
      - Whether the file holds the volume already is told as with O(upload).
      - The file is written under another name beside it, and renamed when it is complete.
      - A file that was there keeps its mode and owner. A new one has mode 0600.
    type: dict
    suboptions:
      dest:
        description: Path of the file. Its directory has to be there.
        type: path
        required: true
      force:
        description: Whether to replace a file that is there and holds something else.
        type: bool
        default: true
  wipe:
    description:
      - Overwrite what the volume holds, with this algorithm of C(virsh vol-wipe). All but V(zero)
        need the program C(scrub) on libvirt's machine; V(trim) needs a pool that supports it.
      - With O(state=absent), before the volume is deleted.
      - With O(state=present), a volume that exists and is raw and not encrypted. V(zero) is no
        change where the volume is all zeros already, which is told by reading it. Any other
        algorithm runs B(each time), and is a change each time.
      - A new volume in a pool that is not made of files is wiped when it has been made, as it holds
        what lay there before.
      - Refused as a deletion is. Of a sparse file, V(zero) gives the blocks back to the file system
        and does not overwrite them; on flash storage and copy-on-write file systems no algorithm
        can promise that nothing is left.
    type: str
    choices:
      [zero, nnsa, dod, bsi, gutmann, schneier, pfitzner7, pfitzner33, random, trim]
  encryption:
    description:
      - Makes a new volume of format V(raw) or V(qcow2) encrypted, with the passphrase of a secret
        that libvirt knows.
      - A volume that exists and is not encrypted is refused. Its cipher is not compared.
      - libvirt forgets which secret belongs to a volume when it refreshes the pool, and cannot
        resize it any more then.
    type: dict
    suboptions:
      format:
        description: Format of the encryption.
        type: str
        choices: [luks]
        default: luks
      secret:
        description: The secret with the passphrase, by O(encryption.secret.usage) or
          O(encryption.secret.uuid).
        type: dict
        required: true
        suboptions:
          usage:
            description: Name of a secret whose usage type is C(volume).
            type: str
          uuid:
            description: UUID of the secret.
            type: str
      cipher:
        description: Cipher of the volume. QEMU chooses one without it.
        type: dict
        suboptions:
          name:
            description: Name, for example V(aes), V(serpent) or V(twofish).
            type: str
            required: true
          size:
            description: Bits of the key, for example V(256).
            type: int
            required: true
          mode:
            description: Mode, for example V(xts) or V(cbc).
            type: str
          hash:
            description: Digest, for example V(sha256).
            type: str
      ivgen:
        description: Generator of initialization vectors. QEMU chooses one without it.
        type: dict
        suboptions:
          name:
            description: Name, for example V(plain64) or V(essiv).
            type: str
            required: true
          hash:
            description: Digest, for V(essiv).
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
  - 'What a kill of the task at any moment leaves: where the pool is made of files (C(dir), C(fs),
    C(netfs), C(vstorage)) of the machine where the module runs, and the task may write to its
    directory, the old volume or the new one, whole. libvirt cannot rename volumes; the module makes
    uploads and clones as C(.polyvisor-...) beside the volume, renames the file and refreshes the
    pool.'
  - 'Elsewhere: a new volume may be incomplete under its name until the next run, which sees that its
    content differs. To replace an existing one in a pool of files, or of type C(logical), the module
    uploads to C(.polyvisor-...) first, then deletes the old volume and lets libvirt copy: after a
    kill there is the old volume, the new one, or for a moment none, with what was uploaded whole in
    C(.polyvisor-...). A clone that the machine of libvirt dies in cannot be told from a whole one,
    as libvirt keeps no mark of it: delete it and run again.'
  - What a run that was killed left as C(.polyvisor-...) is removed by the next run for the same
    volume; elsewhere than on this machine only if nobody has written to it for an hour.
  - The directory of the file and that of the volume need room for a second copy while content is
    replaced.
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

- name: Upload an image from the controller to a remote host
  polyvisor.compute.libvirt_volume:
    uri: qemu+ssh://root@kvm1.example.com/system
    pool: images
    name: debian-12.qcow2
    upload:
      src: /srv/images/debian-12.qcow2
  delegate_to: localhost

- name: Make a guest's disk of an image, once
  polyvisor.compute.libvirt_volume:
    pool: guests
    name: web1.raw
    capacity: 20GiB
    upload:
      src: /srv/images/debian-12.raw
      replace: never

- name: Keep a copy of a volume in a file
  polyvisor.compute.libvirt_volume:
    pool: guests
    name: web1.raw
    download:
      dest: /srv/backup/web1.raw

- name: Create an encrypted volume
  polyvisor.compute.libvirt_volume:
    pool: guests
    name: secret.img
    capacity: 5GiB
    encryption:
      secret:
        usage: guests/secret.img

- name: Overwrite a volume, then delete it
  polyvisor.compute.libvirt_volume:
    pool: guests
    name: secret.img
    state: absent
    wipe: random

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
  sample: [upload]
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
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import run, volume
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.argspec import (
    LIBVIRT_ARGUMENTS,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_argspec import (
    VOLUME_ARGUMENTS,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.volume_client import (
    VolumeClient,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**LIBVIRT_ARGUMENTS, **VOLUME_ARGUMENTS},
        mutually_exclusive=[("clone", "backing", "upload")],
        supports_check_mode=True,
    )
    findings = volume.Findings()
    run.ensure(module, lambda client: volume.plan(client, module.params, findings), VolumeClient)


if __name__ == "__main__":
    main()
