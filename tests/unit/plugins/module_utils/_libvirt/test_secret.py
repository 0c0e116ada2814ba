# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for a secret."""

from __future__ import annotations

from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import secret
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.secret_client import (
    Secret,
    SecretIsPrivate,
)

OPTIONS = {
    "state": "present",
    "usage": "iscsi",
    "name": "target",
    "value": "twelve-letter",
    "encoding": "text",
    "update_value": "if_different",
    "uuid": None,
    "description": None,
    "private": True,
    "ephemeral": None,
}


class Library:
    """Stands for a client in whose library a secret becomes private once it was looked at."""

    def find_secret(self, usage, name):
        return Secret("the-uuid", usage, name, "<secret private='no' ephemeral='no'/>")

    def secret_value(self, uuid):
        raise SecretIsPrivate("secret is private")


def test_secret_that_another_run_makes_private_meanwhile_is_left_its_value():
    plan = secret.plan(Library(), OPTIONS)
    assert [step.name for step in plan.steps] == ["redefine"]
