#!/usr/bin/python
# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_secret_info
short_description: Gather information about libvirt secrets
version_added: 1.0.0
author:
  - polyvisor contributors (@polyvisor)
description:
  - Returns the secrets of a libvirt daemon, without their values.
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
  usage:
    description: What the secrets to return are for. Without it, anything.
    type: list
    elements: str
    choices: [none, volume, iscsi, ceph, tls, vtpm]
  name:
    description:
      - The names of the secrets to return. Without it, all of them.
      - A name that no secret has is left out of the result.
    type: list
    elements: str
seealso:
  - module: polyvisor.compute.libvirt_secret
"""

EXAMPLES = r"""
- name: Look at the secrets of iSCSI targets
  polyvisor.compute.libvirt_secret_info:
    usage: [iscsi]
"""

RETURN = r"""
secrets:
  description: The secrets, ordered by usage and name.
  returned: success
  type: list
  elements: dict
  sample:
    - uuid: 6e4ab5a8-9a8f-4a5c-a7a3-2bd9b3ad5b0c
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
    SECRET_INFO_ARGUMENTS,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.secret_client import (
    SecretClient,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**LIBVIRT_ARGUMENTS, **SECRET_INFO_ARGUMENTS},
        supports_check_mode=True,
    )
    usages, names = module.params["usage"], module.params["name"]
    run.report(
        module, lambda client: {"secrets": secret.listed(client, usages, names)}, SecretClient
    )


if __name__ == "__main__":
    main()
