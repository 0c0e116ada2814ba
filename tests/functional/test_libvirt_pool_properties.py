# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold for any definition of a pool, tried on a real libvirtd with random ones.

libvirt itself is the judge of what is the same: what ``virsh pool-dumpxml`` prints, in sorted order.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from modules import ModuleFailed
from pool_cases import INITIATOR, IQN, RARE, SECRET_UUID, XML

FULL = bool(os.environ.get("POLYVISOR_TEST_FULL"))
DEFINED = {"name": "p", "state": "inactive", "build": "never"}
bounded = settings(
    max_examples=300 if FULL else 15,
    deadline=None,
    derandomize=not FULL,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Text that XML can hold and libvirt keeps as it is.
texts = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters="/"),
    min_size=1,
    max_size=12,
)
words = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
paths = st.lists(texts.filter(lambda text: text not in (".", "..")), min_size=1, max_size=3).map(
    lambda parts: "/srv/" + "/".join(parts)
)
devices = words.map(lambda word: f"/dev/disk/by-id/{word}")
hosts = st.fixed_dictionaries({"name": words}, optional={"port": st.integers(1, 65535)})
names = st.sampled_from(["wwnn", "wwpn"])
wwn = st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
secrets = st.one_of(texts.map(lambda text: {"usage": text}), st.just({"uuid": SECRET_UUID}))
permissions = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.integers(0, 0o777).map(lambda mode: f"{mode:04o}"),
        "owner": st.integers(0, 65533),
        "group": st.integers(0, 65533),
        "label": words,
    },
)


def auth(kind: str):
    """Options of ``source.auth``."""
    return st.fixed_dictionaries({"type": st.just(kind), "username": texts, "secret": secrets})


def pool(kind: str, source: dict, optional: dict, **more):
    """Arguments of a pool of one type: what it needs, and any of what it can have."""
    target = {key: more.pop(key) for key in ("path",) if key in more}
    fields = {"type": st.just(kind)}
    if source or optional:
        fields["source"] = st.fixed_dictionaries(source, optional=optional)
    if target:
        fields["target"] = st.fixed_dictionaries(target, optional={"permissions": permissions})
    return st.fixed_dictionaries(fields, optional=more)


one_host = st.lists(hosts, min_size=1, max_size=1)
one_target = st.just([IQN]) | words.map(lambda word: [f"{IQN}:{word}"])
one_device = devices.map(lambda device: [device])
labels = {"vendor": texts, "product": texts}
mount_options = st.lists(words, max_size=3, unique=True)
adapters = st.one_of(
    words.map(lambda word: {"name": f"scsi_{word}"}),
    st.fixed_dictionaries(
        {"type": st.just("fc_host"), "wwnn": wwn, "wwpn": wwn},
        optional={"parent": words, "managed": st.booleans()},
    ),
)
allocations = st.sampled_from(["default", "capacity"])
POOLS = {
    "dir": pool("dir", {}, {}, path=paths, features=st.builds(dict, cow=st.booleans())),
    "fs": pool(
        "fs",
        {"devices": one_device},
        {"format": st.sampled_from(["ext4", "xfs", "auto"]), **labels},
        path=paths,
        mount_options=mount_options,
    ),
    "netfs": pool(
        "netfs",
        {"hosts": one_host, "dir": paths},
        {"format": st.sampled_from(["auto", "nfs"]), "protocol_version": st.just("4.2")},
        path=paths,
        mount_options=mount_options,
    ),
    "disk": pool(
        "disk",
        {"devices": one_device},
        {"format": st.sampled_from(["gpt", "dos"]), "part_separator": st.booleans()},
        path=st.just("/dev"),
    ),
    "logical": pool(
        "logical", {}, {"name": words, "devices": st.lists(devices, max_size=3, unique=True)}
    ),
    "iscsi": pool(
        "iscsi",
        {"hosts": one_host, "devices": one_target},
        {"initiator": st.just(INITIATOR), "auth": auth("chap"), **labels},
        path=paths,
    ),
    "iscsi-direct": pool(
        "iscsi-direct",
        {"hosts": one_host, "devices": one_target, "initiator": st.just(INITIATOR)},
        {"auth": auth("chap")},
    ),
    "scsi": pool("scsi", {"adapter": adapters}, {}, path=paths),
    "rbd": pool(
        "rbd",
        {"hosts": st.lists(hosts, min_size=1, max_size=3), "name": texts},
        {"auth": auth("ceph")},
        rbd_options=st.dictionaries(words, words, max_size=3),
        volume_allocation=allocations,
    ),
    "gluster": pool("gluster", {"hosts": one_host, "name": words}, {"dir": paths}),
}
pools = st.one_of(*POOLS.values())
of_one_type = st.sampled_from(sorted(POOLS)).flatmap(
    lambda kind: st.tuples(POOLS[kind], POOLS[kind])
)


def printed(modules) -> list:
    """What libvirt says of the pool, in an order of its own, without figures and names."""
    found = modules.run("libvirt_pool_info", name=["p"])["pools"]
    return sorted_xml(ET.fromstring(found[0]["xml"])) if found else []


def sorted_xml(node: ET.Element) -> list:
    """An element as nested lists, without what is no part of a definition."""
    default_ports = {"iscsi": "3260", "iscsi-direct": "3260", "gluster": "24007"}
    if node.tag == "pool":
        for host in node.iter("host"):
            if host.get("port") == default_ports.get(node.get("type", "")):
                host.attrib.pop("port", None)
        for volume in node.findall("refresh/volume[@allocation='default']/.."):
            node.remove(volume)
        if node.get("type") in ("fs", "netfs"):
            for permissions_node in node.findall("target/permissions"):
                node.find("target").remove(permissions_node)
    children = [child for child in node if child.tag not in ("uuid", "capacity", "allocation")]
    text = (node.text or "").strip()
    inner = sorted(sorted_xml(child) for child in children if child.tag != "available")
    # libvirt repeats what is stated twice; twice the same host is one host.
    unique = [child for number, child in enumerate(inner) if child not in inner[:number]]
    return [node.tag, sorted(node.attrib.items()), text, unique]


def clear(libvirtd) -> None:
    """Forget the pool of the example before."""
    libvirtd.run("virsh", "pool-undefine", "p", check=False)


@bounded
@given(options=pools)
def test_definition_comes_back_as_the_same(modules, libvirtd, options):
    clear(libvirtd)
    assert modules.run("libvirt_pool", **DEFINED, **options)["changed"]
    again = modules.run("libvirt_pool", check=True, **DEFINED, **options)
    assert not again["changed"], again
    xml = again["pool"]["xml"]
    assert not modules.run("libvirt_pool", **DEFINED, xml=xml)["changed"]


@bounded
@given(pair=of_one_type | st.tuples(pools, pools))
def test_change_is_seen_if_and_only_if_libvirt_sees_one(modules, libvirtd, pair):
    clear(libvirtd)
    one, other = pair
    modules.run("libvirt_pool", **DEFINED, **one)
    was = printed(modules)
    foretold = modules.run("libvirt_pool", check=True, **DEFINED, **other)["changed"]
    changed = modules.run("libvirt_pool", **DEFINED, **other)["changed"]
    assert foretold == changed
    assert changed == (printed(modules) != was)
    assert not modules.run("libvirt_pool", **DEFINED, **other)["changed"]


@bounded
@given(pair=of_one_type, data=st.data())
def test_one_changed_option_is_seen(modules, libvirtd, pair, data):
    """Of the second definition, only one group of options is stated."""
    clear(libvirtd)
    options, other = pair
    group = data.draw(st.sampled_from(sorted(other)))
    modules.run("libvirt_pool", **DEFINED, **options)
    was = printed(modules)
    changed = modules.run("libvirt_pool", **DEFINED, **{group: other[group]})["changed"]
    assert changed == (printed(modules) != was)


@bounded
@given(pair=of_one_type | st.tuples(pools, pools))
def test_change_of_xml_is_seen_if_and_only_if_libvirt_sees_one(modules, libvirtd, pair):
    """From the second definition back to the first, by the XML that libvirt printed of it."""
    clear(libvirtd)
    xml, forms = [], []
    for options in pair:
        xml.append(modules.run("libvirt_pool", **DEFINED, **options)["pool"]["xml"])
        forms.append(printed(modules))
    changed = modules.run("libvirt_pool", **DEFINED, xml=xml[0])["changed"]
    assert changed == (forms[0] != forms[1])
    assert printed(modules) == forms[0]


def shuffled(node: ET.Element, random) -> ET.Element:
    """The same element with attributes and children in another order, and with blanks."""
    attributes = list(node.attrib.items())
    random.shuffle(attributes)
    result = ET.Element(node.tag, dict(attributes))
    result.text = (node.text or "").strip() or random.choice(["", "\n  ", " "])
    children = list(node)
    random.shuffle(children)
    result.extend(shuffled(child, random) for child in children)
    return result


@bounded
@given(
    kind=st.sampled_from([kind for kind in XML if kind not in RARE]),
    random=st.randoms(use_true_random=False),
)
def test_xml_in_other_words_is_no_change(modules, libvirtd, kind, random):
    clear(libvirtd)
    modules.run("libvirt_pool", **DEFINED, xml=XML[kind])
    root = shuffled(ET.fromstring(XML[kind]), random)
    for tag in ("capacity", "allocation", "available"):
        for node in root.findall(tag):
            root.remove(node)
        ET.SubElement(root, tag, unit=random.choice(["B", "KiB", "TB"])).text = "7"
    xml = ET.tostring(root, encoding="unicode")
    result = modules.run("libvirt_pool", check=True, **DEFINED, xml=xml)
    assert not result["changed"], (xml, result["diff"])


# Anything but text in the place of a dictionary, and lone surrogates, ansible-core itself fails on,
# before the module has a say.
junk = st.recursive(
    st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
scalars = junk | st.none() | st.booleans() | st.integers() | st.floats()
nonsense = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("source", "target", "features", "rbd_options"), junk),
        **dict.fromkeys(("type", "name", "mount_options", "xml", "autostart"), scalars),
    },
)
nonsensical_source = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("hosts", "adapter", "auth"), junk),
        **dict.fromkeys(("dir", "devices", "name", "format", "initiator"), scalars),
    },
)


@bounded
@given(options=nonsense, source=nonsensical_source, valid=pools)
def test_nonsense_is_refused_without_a_traceback(modules, libvirtd, options, source, valid):
    """Or taken, where it makes sense after all; the module's output is JSON in any case."""
    clear(libvirtd)
    mixed = {**valid, **options}
    if isinstance(mixed.get("source"), dict):
        mixed["source"] = {**mixed["source"], **source}
    try:
        modules.run("libvirt_pool", **{**DEFINED, **mixed})
    except ModuleFailed as failure:
        assert str(failure)


@bounded
@given(
    kind=st.sampled_from(sorted(XML)),
    at=st.integers(0, 400),
    length=st.integers(0, 30),
    text=st.text(max_size=10) | st.sampled_from(["\0", "\x1b", "<!DOCTYPE a>", "&x;", "]]>"]),
)
def test_broken_xml_is_refused_without_a_traceback(modules, libvirtd, kind, at, length, text):
    clear(libvirtd)
    xml = XML[kind][:at] + text + XML[kind][at + length :]
    try:
        modules.run("libvirt_pool", **DEFINED, xml=xml)
    except ModuleFailed as failure:
        assert str(failure)


@pytest.mark.parametrize("key", ["vendor", "product", "initiator", "name"])
@pytest.mark.parametrize("value", ["\0", "a\x01b", "\ud800", "\uffff", "x" * 70000])
def test_characters_that_xml_cannot_hold(modules, key, value):
    source = {"hosts": [{"name": "h"}], "devices": [IQN], "initiator": INITIATOR, key: value}
    try:
        modules.run("libvirt_pool", **DEFINED, type="iscsi-direct", source=source)
    except ModuleFailed as failure:
        assert str(failure)
