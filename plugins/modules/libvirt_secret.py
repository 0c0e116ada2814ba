#!/usr/bin/python
# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_secret
short_description: Manage libvirt secrets
version_added: 1.0.0
author:
  - polyvisor contributors (@polyvisor)
description:
  - Keeps the passwords and keys that storage pools, volumes and domains of libvirt refer to.
  - A secret is known by what it is for, its O(usage) and O(name).
extends_documentation_fragment:
  - polyvisor.compute.libvirt
  - polyvisor.compute.libvirt.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The value is never shown, only whether it changes.
options:
  usage:
    description:
      - What the secret is for. V(iscsi) and V(ceph) are what a pool's O(polyvisor.compute.libvirt_pool#module:source.auth)
        refers to, V(volume) is the passphrase of an encrypted volume.
    type: str
    choices: [volume, iscsi, ceph, tls, vtpm]
    required: true
  name:
    description:
      - The name by which others refer to the secret, for example in
        O(polyvisor.compute.libvirt_pool#module:source.auth.secret.usage).
      - For V(volume) the custom is the path of the volume.
    type: str
    required: true
  state:
    description: Whether the secret is there.
    type: str
    choices: [present, absent]
    default: present
  uuid:
    description:
      - The secret's UUID. Without it, libvirt chooses one.
      - An existing secret keeps its UUID; another one is refused.
    type: str
  description:
    description: What it is, for humans.
    type: str
  private:
    description:
      - Whether libvirt hands the value to nobody. A secret can become private, but not readable
        again.
      - The value of a private secret cannot be compared, see O(update_value).
    type: bool
  ephemeral:
    description: Whether the secret is kept in the daemon's memory only, and lost when that stops.
    type: bool
  value:
    description:
      - The password or key. Without it, a new secret has no value and an existing one keeps its
        own.
    type: str
  encoding:
    description:
      - How O(value) is written. V(text) is taken as it is, in UTF-8. V(base64) is decoded first,
        as the key of a Ceph user has to be.
    type: str
    choices: [text, base64]
    default: text
  update_value:
    description:
      - When to store O(value) in a secret that is there.
      - V(if_different) compares it with the one that is stored. A private secret cannot be read,
        so its value is left alone.
      - V(always) stores it in each run, which is reported as a change.
    type: str
    choices: [if_different, always]
    default: if_different
notes:
  - A new private secret is readable through libvirt until its value is stored. Were it private
    from the start, a run that is cut short would leave a secret without a value that no later run
    could tell from a complete one.
  - libvirt keeps secrets on the disk of its machine in files that only root can read, encoded but
    not encrypted.
seealso:
  - module: polyvisor.compute.libvirt_secret_info
  - module: polyvisor.compute.libvirt_pool
  - name: libvirt secrets
    description: What secrets are for, and their XML.
    link: https://libvirt.org/formatsecret.html
"""

EXAMPLES = r"""
- name: Keep the CHAP password of an iSCSI target
  polyvisor.compute.libvirt_secret:
    usage: iscsi
    name: storage.example.com
    value: "{{ vaulted_password }}"
    private: true

- name: Keep the key of a Ceph user
  polyvisor.compute.libvirt_secret:
    usage: ceph
    name: client.libvirt
    value: "{{ vaulted_key }}"
    encoding: base64

- name: Store another password in a private secret
  polyvisor.compute.libvirt_secret:
    usage: iscsi
    name: storage.example.com
    value: "{{ vaulted_password }}"
    update_value: always

- name: Remove a secret
  polyvisor.compute.libvirt_secret:
    usage: iscsi
    name: storage.example.com
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in this order.
  returned: success
  type: list
  elements: str
  sample: [define, set value, make private]
secret:
  description:
    - The secret as it is after the task, or in check mode as it is now, without its value; none
      if there is no such secret.
  returned: success
  type: dict
  sample:
    uuid: 6e4ab5a8-9a8f-4a5c-a7a3-2bd9b3ad5b0c
    usage: iscsi
    name: storage.example.com
    description:
    private: true
    ephemeral: false
    xml: <secret ephemeral='no' private='yes'>...</secret>
  contains:
    uuid:
      description: The secret's UUID.
      type: str
      returned: success
    usage:
      description: What it is for.
      type: str
      returned: success
    name:
      description: The name by which others refer to it.
      type: str
      returned: success
    description:
      description: What it is, for humans.
      type: str
      returned: success
    private:
      description: Whether libvirt hands the value to nobody.
      type: bool
      returned: success
    ephemeral:
      description: Whether it is kept in memory only.
      type: bool
      returned: success
    xml:
      description: libvirt's XML of the secret.
      type: str
      returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import run, secret
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.argspec import (
    LIBVIRT_ARGUMENTS,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.secret_argspec import (
    SECRET_ARGUMENTS,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.secret_client import (
    SecretClient,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**LIBVIRT_ARGUMENTS, **SECRET_ARGUMENTS},
        supports_check_mode=True,
    )
    run.ensure(module, lambda client: secret.plan(client, module.params), SecretClient)


if __name__ == "__main__":
    main()
