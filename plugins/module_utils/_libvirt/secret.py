# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings one libvirt secret to its wanted state; its value never leaves this process.

The format is that of https://libvirt.org/formatsecret.html.
"""

from __future__ import annotations

import base64
import binascii
import xml.etree.ElementTree as ET
from typing import Any

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.secret_client import (
    Secret,
    SecretClient,
    SecretIsPrivate,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import Plan, Step

# The element of <usage> that holds the name.
_NAME_TAGS = {"volume": "volume", "iscsi": "target"}


def describe(found: Secret) -> dict[str, Any]:
    """A secret as modules return it, without its value."""
    root = ET.fromstring(found.xml)
    return {
        "uuid": found.uuid,
        "usage": found.usage,
        "name": found.name,
        "description": root.findtext("description"),
        "private": root.get("private") == "yes",
        "ephemeral": root.get("ephemeral") == "yes",
        "xml": found.xml,
    }


def listed(client: SecretClient, usages: list[str] | None, names: list[str] | None) -> list[dict]:
    """The secrets of some usages and names, or all; see describe."""
    return [
        describe(secret)
        for secret in client.secrets()
        if (usages is None or secret.usage in usages) and (names is None or secret.name in names)
    ]


def plan(client: SecretClient, options: dict[str, Any]) -> Plan:
    """What has to be done to a secret.

    :param options: the parameters of the module libvirt_secret
    :raises Refused: if the options make no sense, or libvirt cannot make such a change
    """
    if not options["name"].strip():
        raise Refused("name is empty.")
    value = _value(options)
    found = client.find_secret(options["usage"], options["name"])
    if options["state"] == "absent":
        return _removal(client, options, found)
    return _SecretPlan(client, options, found, value).make()


def _value(options: dict[str, Any]) -> bytes | None:
    text = options["value"]
    if text is None:
        return None
    if not text:
        raise Refused("value is empty.")
    if options["encoding"] == "text":
        return text.encode("utf-8", "surrogateescape")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("value is not base64, as encoding=base64 says.") from None


def _removal(client: SecretClient, options: dict[str, Any], found: Secret | None) -> Plan:
    gone = {"usage": options["usage"], "name": options["name"], "state": "absent"}
    if not found:
        return Plan(gone, gone, [], {"secret": None})
    before = {**_told(describe(found)), "state": "present"}
    step = Step("undefine", lambda: client.undefine_secret(found.uuid))
    return Plan(before, gone, [step], {"secret": None})


def _told(described: dict[str, Any]) -> dict[str, Any]:
    keys = ("uuid", "usage", "name", "description", "private", "ephemeral")
    return {key: described[key] for key in keys}


class _SecretPlan:
    """The plan for a secret that is to be there."""

    def __init__(
        self,
        client: SecretClient,
        options: dict[str, Any],
        found: Secret | None,
        value: bytes | None,
    ) -> None:
        self.client = client
        self.options = options
        self.found = found
        self.value = value
        self.was = describe(found) if found else None
        self.wanted = self._wanted()

    def _wanted(self) -> dict[str, Any]:
        """What the secret is to be; what is not stated stays as it is."""
        stated = {
            key: self.options[key]
            for key in ("uuid", "description", "private", "ephemeral")
            if self.options[key] is not None
        }
        default = {"uuid": None, "description": None, "private": False, "ephemeral": False}
        was = _told(self.was) if self.was else default
        return {**was, **stated, "usage": self.options["usage"], "name": self.options["name"]}

    def make(self) -> Plan:
        """The plan; refuses what libvirt cannot change."""
        if self.was:
            self._require_changeable()
        redefine = not self.was or self.wanted != _told(self.was)
        set_value = self._value_has_to_be_set()
        # A value is set while it can be read: a run that is cut short before it can be told from
        # one that was not.
        private = self.wanted["private"]
        private_first = private and (not set_value or bool(self.was and self.was["private"]))
        steps = []
        if redefine:
            # Two names: a run that others were faster than sees by them that something has moved.
            name = "redefine" if self.was else "define"
            steps.append(Step(name, lambda: self._define(private_first), self._undo()))
        if set_value:
            steps.append(Step("set value", self._set_value))
        if private and not private_first:
            steps.append(Step("make private", lambda: self._define(True)))
        before = self._state(self.was, "another" if set_value else "as stated")
        after = self._state(self.wanted, "as stated")
        return Plan(before, after, steps, {"secret": self.was})

    def _state(self, described: dict[str, Any] | None, value: str) -> dict[str, Any]:
        if not described:
            return {
                "usage": self.options["usage"],
                "name": self.options["name"],
                "state": "absent",
            }
        shown = {} if self.value is None else {"value": f"({value})"}
        told = {key: described[key] for key in _told(described) if key != "uuid"}
        return {**told, **shown, "state": "present"}

    def _require_changeable(self) -> None:
        if self.options["uuid"] and self.options["uuid"].lower() != self.was["uuid"]:
            raise Refused(
                f"The secret of {self.options['usage']} {self.options['name']!r} has the UUID "
                f"{self.was['uuid']}, which libvirt does not change. Leave uuid out, or remove "
                "the secret with state=absent first."
            )
        self.wanted["uuid"] = self.was["uuid"]
        if self.was["private"] and not self.wanted["private"]:
            raise Refused(
                f"The secret of {self.options['usage']} {self.options['name']!r} is private, and "
                "libvirt does not make it readable again. Remove it with state=absent first."
            )

    def _value_has_to_be_set(self) -> bool:
        if self.value is None:
            return False
        if not self.was or self.options["update_value"] == "always":
            return True
        if self.was["private"]:
            return False
        try:
            return self.client.secret_value(self.was["uuid"]) != self.value
        except SecretIsPrivate:
            return False  # Another run has made it so since it was looked at.

    def _define(self, private: bool) -> None:
        made = self.client.find_secret(self.options["usage"], self.options["name"])
        uuid = made.uuid if made else self.wanted["uuid"]
        self.client.define_secret(_xml({**self.wanted, "uuid": uuid, "private": private}))

    def _undo(self) -> Any:
        if self.found:
            return lambda: self.client.define_secret(self.found.xml)
        return self._undefine

    def _undefine(self) -> None:
        made = self.client.find_secret(self.options["usage"], self.options["name"])
        if made:
            self.client.undefine_secret(made.uuid)

    def _set_value(self) -> None:
        secret = self.client.find_secret(self.options["usage"], self.options["name"])
        if secret:
            self.client.set_secret_value(secret.uuid, self.value)


def _xml(wanted: dict[str, Any]) -> str:
    flags = {flag: "yes" if wanted[flag] else "no" for flag in ("private", "ephemeral")}
    root = ET.Element("secret", flags)
    for tag in ("uuid", "description"):
        if wanted[tag]:
            ET.SubElement(root, tag).text = wanted[tag]
    usage = ET.SubElement(root, "usage", type=wanted["usage"])
    ET.SubElement(usage, _NAME_TAGS.get(wanted["usage"], "name")).text = wanted["name"]
    return ET.tostring(root, encoding="unicode")
