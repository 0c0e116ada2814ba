# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random volumes, contents and options, on a real libvirtd.

A few by default; many with POLYVISOR_TEST_FULL=1.
"""

from __future__ import annotations

import contextlib
import os
import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from modules import ModuleFailed

KIB = 1024
MIB = 1024**2
UNITS = {"": 1, "B": 1, "K": KIB, "KiB": KIB, "KB": 1000, "M": MIB, "MiB": MIB, "MB": 10**6}
EXAMPLES = 200 if os.environ.get("POLYVISOR_TEST_FULL") else 10
few = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not os.environ.get("POLYVISOR_TEST_FULL"),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

names = st.text(
    string.ascii_letters + string.digits + "._- &<>'\"äß", min_size=1, max_size=30
).filter(lambda name: name.strip() and name not in (".", ".."))
sizes = st.tuples(st.integers(1, 3000), st.sampled_from(sorted(UNITS))).filter(
    lambda size: 512 <= size[0] * UNITS[size[1]] <= 3000 * MIB
)
permissions = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.integers(0o400, 0o777).map(lambda mode: f"{mode:04o}"),
        "owner": st.integers(0, 70000),
        "group": st.integers(0, 70000),
    },
)
# Ranges of data as (offset, length, byte) in an image of a length that is no round number.
contents = st.tuples(
    st.integers(1, 3 * MIB),
    st.lists(
        st.tuples(st.integers(0, 3 * MIB), st.integers(1, 70000), st.integers(0, 255)), max_size=5
    ),
)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=20),
    st.lists(st.text(max_size=5), max_size=2),
)
OPTIONS = ("pool", "name", "state", "capacity", "allocation", "format", "wipe", "allow_shrink")
SUBOPTIONS = (
    "pool", "name", "path", "format", "src", "dest", "replace", "secret", "mode", "owner", "cipher",
)  # fmt: skip


def write(path, content):
    """An image file of the given content, with holes."""
    length, ranges = content
    with path.open("wb") as file:
        for offset, size, byte in ranges:
            file.seek(offset)
            file.write(bytes([byte]) * size)
        file.truncate(length)


@few
@given(
    name=names,
    size=sizes,
    image_format=st.sampled_from(["raw", "qcow2", "vmdk", "vdi", "qed"]),
    permissions=permissions,
)
def test_volume_comes_back_as_it_was_defined(modules, pool, name, size, image_format, permissions):
    capacity = f"{size[0]}{size[1]}"
    arguments = {"pool": pool, "name": name, "format": image_format, "permissions": permissions}
    first = modules.run("libvirt_volume", capacity=capacity, **arguments)
    try:
        assert first["changed"]
        for check in (True, False):
            again = modules.run("libvirt_volume", check=check, capacity=capacity, **arguments)
            assert not again["changed"], again
        found = modules.run("libvirt_volume_info", pool=pool, name=name)["volumes"][0]
        assert 0 <= found["capacity"] - size[0] * UNITS[size[1]] < KIB
        larger = f"{found['capacity'] + 64 * KIB}"
        if image_format in ("raw", "qcow2"):
            change = modules.run("libvirt_volume", check=True, capacity=larger, **arguments)
            assert change["actions"] == ["resize"]
    finally:
        modules.run("libvirt_volume", pool=pool, name=name, state="absent")


@few
@given(content=contents, other=contents)
def test_content_goes_there_and_back(modules, pool, tmp_path, content, other):
    source, dest = tmp_path / "source", tmp_path / "dest"
    arguments = {"pool": pool, "name": "v"}
    upload = {"src": str(source)}
    for each in (content, other):
        write(source, each)
        same = (tmp_path / "pool" / "v").exists() and (
            (tmp_path / "pool" / "v").read_bytes().rstrip(b"\0")
            == source.read_bytes().rstrip(b"\0")
            and (tmp_path / "pool" / "v").stat().st_size >= source.stat().st_size
        )
        for check in (True, False):
            result = modules.run("libvirt_volume", check=check, upload=upload, **arguments)
            assert result["changed"] is not same
        if not same:
            assert (tmp_path / "pool" / "v").read_bytes() == source.read_bytes()
        assert not modules.run("libvirt_volume", upload=upload, **arguments)["changed"]
        modules.run("libvirt_volume", download={"dest": str(dest)}, **arguments)
        assert dest.read_bytes() == (tmp_path / "pool" / "v").read_bytes()
    modules.run("libvirt_volume", state="absent", **arguments)


# Ansible itself ends in a traceback where an option with suboptions is a number or a list.
nested = st.one_of(
    st.none(),
    st.text(max_size=9),
    st.dictionaries(st.sampled_from(SUBOPTIONS), anything, max_size=3),
)
DICTS = ("clone", "backing", "upload", "encryption", "permissions")


@settings(few, max_examples=EXAMPLES * 3)
@given(
    plain=st.dictionaries(st.sampled_from(OPTIONS), anything, max_size=4),
    dicts=st.dictionaries(st.sampled_from(DICTS), nested, max_size=2),
    real_pool=st.booleans(),
)
def test_nonsense_is_refused_without_a_traceback(modules, pool, plain, dicts, real_pool):
    """What is refused tells why; modules.run fails on anything else than a result."""
    arguments = {"name": "v", **plain, **dicts, **({"pool": pool} if real_pool else {})}
    with contextlib.suppress(ModuleFailed):
        modules.run("libvirt_volume", check=True, **arguments)
    with contextlib.suppress(ModuleFailed):
        modules.run(
            "libvirt_volume_info",
            **{k: v for k, v in arguments.items() if k in ("pool", "name", "format")},
        )
