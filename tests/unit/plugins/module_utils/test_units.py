# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes."""

from __future__ import annotations

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused
from ansible_collections.polyvisor.compute.plugins.module_utils._units import (
    format_size,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("1b", 1),
        ("7 bytes", 7),
        ("1K", 1024),
        ("1k", 1024),
        ("1KiB", 1024),
        ("1KB", 1000),
        ("1kb", 1000),
        ("10GiB", 10 * 2**30),
        ("10G", 10 * 2**30),
        ("10GB", 10 * 10**9),
        (" 1.5 GiB ", 3 * 2**29),
        ("0.5K", 512),
        ("2TiB", 2**41),
        ("1P", 2**50),
        ("7E", 7 * 2**60),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", " ", "G", "ten", "-1", "1 XiB", "10GiBB", "1e3", "1,5G", "0.0001K", "1 G B", "8E"]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(Refused) as refusal:
        parse_size(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1000, "1000 bytes"),
        (1024, "1 KiB (1024 bytes)"),
        (10 * 2**30, "10 GiB (10737418240 bytes)"),
        (2**30 + 512, "1073742336 bytes"),
    ],
)
def test_sizes_in_messages(size, text):
    assert format_size(size) == text


def test_message_can_be_read_back():
    for size in (1024, 3 * 2**20, 5 * 2**40):
        assert parse_size(format_size(size).split(" (", 1)[0]) == size
