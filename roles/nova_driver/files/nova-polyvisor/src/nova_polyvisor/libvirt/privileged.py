# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""What nova-compute may not do as its own user: nova's privilege-separation daemon does it."""

import os
from collections.abc import Callable
from typing import TypeVar

import nova.privsep

_Function = TypeVar("_Function", bound=Callable[..., object])
_as_root: Callable[[_Function], _Function] = nova.privsep.sys_admin_pctxt.entrypoint


@_as_root
def link(source: str, target: str) -> None:
    """Give a file a second name.

    A pool's directory is libvirt's, and Linux lets nobody link to a file of another user.

    :raises OSError: the file system has no hard links, or is another; or the name is taken
    """
    os.link(source, target, follow_symlinks=False)


@_as_root
def flush(path: str) -> None:
    """Wait until a file is on the disk, with its name."""
    for each in (path, os.path.dirname(path)):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@_as_root
def same_file(one: str, other: str) -> bool:
    """Tell whether two names are of one file; false where one of them is of none."""
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:
        return False
