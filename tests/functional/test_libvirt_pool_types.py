# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Definitions of pools of every type, given as options and as XML, on a real libvirtd.

They are defined, not started: most of what they name is not there.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from pool_cases import CEPH, IQN, OPTIONS, RARE, XML
from private_libvirtd import PrivateLibvirtd

DEFINED = {"name": "p", "state": "inactive", "build": "never"}


COMMON = [case for case in OPTIONS if case[0] not in RARE]


def case_ids(cases: list) -> list[str]:
    """A name for each case: its type, numbered."""
    return [f"{kind}{number}" for number, (kind, _options) in enumerate(cases)]


def stored(libvirtd: PrivateLibvirtd) -> str:
    """What libvirt itself says of the pool."""
    return libvirtd.virsh("pool-dumpxml", "--inactive", "p")


@pytest.mark.parametrize(("kind", "options"), COMMON, ids=case_ids(COMMON))
def test_options_become_a_definition(modules, libvirtd, kind, options):
    result = modules.converge("libvirt_pool", **DEFINED, type=kind, **options)
    assert result["actions"] == ["define"]
    assert result["pool"]["type"] == kind
    xml = stored(libvirtd)
    for value in leaves({key: value for key, value in options.items() if key != "features"}):
        assert value in xml, f"{value} is not in {xml}"


@pytest.mark.parametrize("kind", RARE)
def test_type_that_the_daemon_may_lack(modules, libvirtd, kind):
    options = dict(OPTIONS)[kind]
    if f"<pool type='{kind}' supported='yes'>" in libvirtd.virsh("pool-capabilities"):
        modules.converge("libvirt_pool", **DEFINED, type=kind, **options)
        modules.converge("libvirt_pool", **{**DEFINED, "name": "q"}, xml=XML[kind])
        return
    modules.refused("libvirt_pool", kind, "cannot manage", **DEFINED, type=kind, **options)
    modules.refused("libvirt_pool", kind, "cannot manage", **DEFINED, xml=XML[kind])
    pytest.skip(f"the daemon has no backend for {kind}, and refuses it with a message")


def leaves(options) -> list[str]:
    """Every text and number in options; a flag shows in another form."""
    if isinstance(options, dict):
        return [leaf for value in (*options.values(),) for leaf in leaves(value)]
    if isinstance(options, list):
        return [leaf for value in options for leaf in leaves(value)]
    return [] if isinstance(options, bool) else [str(options)]


@pytest.mark.parametrize("kind", [kind for kind in XML if kind not in RARE])
def test_xml_becomes_a_definition(modules, libvirtd, kind):
    """And what libvirt makes of it is the same, for those who edit ``virsh pool-dumpxml``."""
    result = modules.converge("libvirt_pool", **DEFINED, xml=XML[kind])
    assert result["actions"] == ["define"]
    xml = stored(libvirtd)
    assert f"<pool type='{kind}'" in xml
    assert not modules.run("libvirt_pool", **DEFINED, xml=xml)["changed"]
    without_uuid = re.sub("<uuid>.*</uuid>", "", xml)
    assert not modules.run("libvirt_pool", **DEFINED, xml=without_uuid)["changed"]
    assert stored(libvirtd) == xml


def test_xml_is_the_whole_definition(modules, libvirtd):
    """What the XML no longer says goes away; options leave it alone."""
    xml = XML["iscsi"]
    modules.run("libvirt_pool", **DEFINED, xml=xml)
    modules.converge("libvirt_pool", **DEFINED, source={"vendor": "Other"})
    assert "<vendor name='Other'/>" in stored(libvirtd)
    assert "<auth" in stored(libvirtd)
    uuid = ET.fromstring(stored(libvirtd)).findtext("uuid")
    result = modules.converge("libvirt_pool", **DEFINED, xml=re.sub("<auth.*</auth>", "", xml))
    assert result["diff"]["before"]["definition"]["source/auth/@username"] == "u"
    assert "source/auth/@username" not in result["diff"]["after"]["definition"]
    assert "<auth" not in stored(libvirtd)
    assert uuid in stored(libvirtd)


def test_lists_are_replaced_as_a_whole(modules, libvirtd):
    hosts = [{"name": "mon1"}, {"name": "mon2", "port": 6789}]
    pool = {"type": "rbd", "source": {"hosts": hosts, "name": "images", "auth": CEPH}}
    modules.run("libvirt_pool", **DEFINED, **pool, rbd_options={"a": "1", "b": "2"})
    assert not modules.run("libvirt_pool", **DEFINED, source={"hosts": hosts[::-1]})["changed"]
    modules.converge("libvirt_pool", **DEFINED, source={"hosts": hosts[:1]}, rbd_options={"b": 2})
    assert "mon2" not in stored(libvirtd)
    assert "name='a'" not in stored(libvirtd)
    modules.converge("libvirt_pool", **DEFINED, rbd_options={})
    assert "config_opts" not in stored(libvirtd)
    chap = {"auth": {**CEPH, "secret": {"usage": "another"}}}
    modules.converge("libvirt_pool", **DEFINED, source=chap)
    assert "usage='another'" in stored(libvirtd)
    assert CEPH["secret"]["uuid"] not in stored(libvirtd)


def test_default_port_is_no_difference(modules):
    source = {"hosts": [{"name": "h", "port": 3260}], "devices": [IQN]}
    modules.run("libvirt_pool", **DEFINED, type="iscsi", source=source)
    assert not modules.run("libvirt_pool", **DEFINED, source={"hosts": [{"name": "h"}]})["changed"]
    modules.converge("libvirt_pool", **DEFINED, source={"hosts": [{"name": "h", "port": 3261}]})


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("dir", {"target": {"path": "/p"}, "mount_options": ["ro"]}, ["no mount_options"]),
        ("dir", {"target": {"path": "/p"}, "source": {"name": "n"}}, ["no source.name"]),
        ("dir", {"target": {"path": "/p"}, "rbd_options": {"a": 1}}, ["no rbd_options"]),
        ("netfs", {"target": {"path": "/p"}}, ["source.hosts"]),
        ("netfs", {"source": {"hosts": [{"name": "h"}], "dir": "/e"}}, ["target.path"]),
        ("logical", {"target": {"path": "/p"}}, ["always /dev/p"]),
        ("iscsi", {"source": {"hosts": [{"name": "h"}]}}, ["source.devices"]),
        ("scsi", {"source": {"adapter": {"type": "scsi_host"}}}, ["libvirt cannot take"]),
        ("mpath", {"features": {"cow": True}}, ["cow"]),
        ("rbd", {"source": {"hosts": [{"name": "h"}]}}, ["source.name"]),
        ("gluster", {"source": {"hosts": [{"name": "h"}, {"name": "i"}], "name": "v"}}, ["one"]),
    ],
)
def test_options_that_make_no_pool(modules, kind, options, words):
    modules.refused("libvirt_pool", *words, **DEFINED, type=kind, **options)


@pytest.mark.parametrize(
    ("xml", "word"),
    [
        ("", "not well-formed"),
        ("<pool type='dir'>", "not well-formed"),
        ("<pool type='fs'><fs:mount_opts/></pool>", "unbound prefix"),
        ("<volume/>", "<volume>"),
        ("<pool type='dir'><name>q</name></pool>", "'q'"),
        ("<pool/>", "libvirt cannot take"),
        ("<pool type='floppy'/>", "floppy"),
        ("<pool type='dir'><target/></pool>", "target path"),
        ("<pool type='dir'><uuid>x</uuid><target><path>/p</path></target></pool>", "uuid"),
    ],
)
def test_xml_that_is_no_pool(modules, xml, word):
    modules.refused("libvirt_pool", word, **DEFINED, xml=xml)


def test_xml_with_the_uuid_of_another_pool(modules, pool):
    xml = "<pool type='dir'><uuid>{}</uuid><target><path>/p</path></target></pool>"
    modules.run("libvirt_pool", **DEFINED, xml=xml.format("b" * 32))
    modules.refused("libvirt_pool", "uuid", **DEFINED, xml=xml.format("a" * 32))


def test_xml_stands_alone(modules):
    modules.refused("libvirt_pool", "mutually exclusive", **DEFINED, xml="<pool/>", type="dir")


def test_source_of_another_pool(modules):
    modules.run("libvirt_pool", **DEFINED, xml=XML["netfs"])
    other = {**DEFINED, "name": "other", "type": "netfs", "target": {"path": "/srv/other"}}
    source = {"hosts": [{"name": "nfs.example.com"}], "dir": "/export"}
    modules.refused("libvirt_pool", "'p'", "/export", **other, source=source)
    modules.converge("libvirt_pool", **other, source={**source, "dir": "/export2"})
