# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for a secret."""

from __future__ import annotations

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import OperationFailed
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import secret
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.secret_client import (
    Secret,
    SecretIsPrivate,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import reconcile

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


class SharedLibrary:
    """Stands for a client in whose library another run defines the secret just before."""

    def __init__(self):
        self.xml = None
        self.value = None

    def find_secret(self, usage, name):
        return Secret("the-uuid", usage, name, self.xml) if self.xml else None

    def secret_value(self, uuid):
        return self.value

    def define_secret(self, xml):
        first, self.xml = not self.xml, self.xml or "<secret private='no' ephemeral='no'/>"
        if first:
            raise OperationFailed("a secret with another UUID already defined for use with target")
        self.xml = xml

    def set_secret_value(self, uuid, value):
        self.value = value


def test_secret_that_another_run_defines_first_is_completed():
    library = SharedLibrary()
    outcome = reconcile(lambda: secret.plan(library, OPTIONS), check_mode=False)
    assert outcome.actions == ["redefine", "set value", "make private"]
    assert library.value == b"twelve-letter"
    assert 'private="yes"' in library.xml
