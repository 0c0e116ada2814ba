# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt_secret and libvirt_secret_info on a real libvirtd."""

from __future__ import annotations

import base64
import json

import pytest

VALUE = "correct horse battery"
ISCSI = {"usage": "iscsi", "name": "storage.example.com"}


def stored(libvirtd, uuid: str) -> bytes:
    """The value that libvirt hands out."""
    return base64.b64decode(libvirtd.virsh("secret-get-value", uuid))


@pytest.mark.parametrize("usage", ["volume", "iscsi", "ceph", "tls", "vtpm"])
def test_secret_comes_to_be_and_goes(modules, libvirtd, usage):
    name = {"usage": usage, "name": "/srv/a name"}
    modules.run("libvirt_secret", **name, value=VALUE, check=True)
    assert modules.run("libvirt_secret_info")["secrets"] == []
    result = modules.converge("libvirt_secret", **name, value=VALUE, description="a & b")
    assert result["actions"] == ["define", "set value"]
    secret = result["secret"]
    assert (secret["usage"], secret["name"]) == (usage, "/srv/a name")
    assert (secret["private"], secret["ephemeral"]) == (False, False)
    assert stored(libvirtd, secret["uuid"]) == VALUE.encode()
    assert modules.run("libvirt_secret_info")["secrets"] == [secret]
    assert modules.run("libvirt_secret", **name, state="absent", check=True)["changed"]
    assert modules.run("libvirt_secret_info")["secrets"] == [secret]
    assert modules.converge("libvirt_secret", **name, state="absent")["changed"]
    assert modules.run("libvirt_secret_info")["secrets"] == []


def test_value_is_never_shown(modules):
    outputs = [
        modules.run("libvirt_secret", **ISCSI, value=VALUE, check=True),
        modules.run("libvirt_secret", **ISCSI, value=VALUE),
        modules.run("libvirt_secret", **ISCSI, value=f"{VALUE}2"),
        modules.run("libvirt_secret_info"),
    ]
    for output in outputs:
        text = json.dumps(output)
        assert VALUE not in text
        assert base64.b64encode(VALUE.encode()).decode() not in text


def test_changed_value_is_noticed(modules, libvirtd):
    modules.run("libvirt_secret", **ISCSI, value="former")
    result = modules.converge("libvirt_secret", **ISCSI, value=VALUE)
    assert result["actions"] == ["set value"]
    assert stored(libvirtd, result["secret"]["uuid"]) == VALUE.encode()


def test_value_that_was_never_set_is_noticed(modules):
    modules.converge("libvirt_secret", **ISCSI)
    assert modules.converge("libvirt_secret", **ISCSI, value=VALUE)["actions"] == ["set value"]


def test_value_of_a_private_secret_is_left_alone_unless_told(modules):
    modules.converge("libvirt_secret", **ISCSI, value=VALUE, private=True)
    assert not modules.run("libvirt_secret", **ISCSI, value="another")["changed"]
    result = modules.run("libvirt_secret", **ISCSI, value="another", update_value="always")
    assert result["actions"] == ["set value"]


def test_secret_becomes_private_and_keeps_its_value(modules, libvirtd):
    modules.run("libvirt_secret", **ISCSI, value=VALUE)
    result = modules.converge("libvirt_secret", **ISCSI, private=True)
    assert result["secret"]["private"]
    assert (
        "private"
        in libvirtd.run("virsh", "secret-get-value", result["secret"]["uuid"], check=False).stderr
    )
    modules.refused("libvirt_secret", "readable again", **ISCSI, private=False)


def test_key_in_base64(modules, libvirtd):
    key = bytes(range(32))
    arguments = {"usage": "ceph", "name": "client.libvirt", "encoding": "base64"}
    value = base64.b64encode(key).decode()
    result = modules.converge("libvirt_secret", **arguments, value=value)
    assert stored(libvirtd, result["secret"]["uuid"]) == key
    message = modules.refused("libvirt_secret", "base64", **arguments, value="not base64!")
    assert "not base64!" not in message


def test_ephemeral_secret(modules):
    result = modules.converge("libvirt_secret", **ISCSI, value=VALUE, ephemeral=True)
    assert result["secret"]["ephemeral"]
    result = modules.converge("libvirt_secret", **ISCSI, ephemeral=False)
    assert not result["secret"]["ephemeral"]


def test_uuid_is_kept(modules):
    uuid = "0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f"
    result = modules.converge("libvirt_secret", **ISCSI, uuid=uuid, value=VALUE)
    assert result["secret"]["uuid"] == uuid
    modules.refused("libvirt_secret", uuid, **ISCSI, uuid=uuid.replace("0a", "0b"))


def test_what_cannot_be(modules):
    modules.refused("libvirt_secret", "empty", usage="iscsi", name=" ", value=VALUE)
    modules.refused("libvirt_secret", "empty", **ISCSI, value="")


def test_secrets_by_usage_and_name(modules):
    for usage, name in (("ceph", "a"), ("iscsi", "a"), ("iscsi", "b")):
        modules.run("libvirt_secret", usage=usage, name=name)

    def found(**arguments) -> list:
        secrets = modules.run("libvirt_secret_info", **arguments)["secrets"]
        return [(secret["usage"], secret["name"]) for secret in secrets]

    assert found() == [("ceph", "a"), ("iscsi", "a"), ("iscsi", "b")]
    assert found(usage=["iscsi"]) == [("iscsi", "a"), ("iscsi", "b")]
    assert found(name=["a", "none"], usage=["iscsi"]) == [("iscsi", "a")]
