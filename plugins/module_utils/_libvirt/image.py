# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a disk image is, told by its first bytes: the offsets are those that libvirt looks at.

Of an image that is not to be read by this process, qemu-img tells.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from dataclasses import dataclass

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused

_HEAD = 40 * 1024


@dataclass(frozen=True)
class _Format:
    """Where a format has its mark and the image's size; ``unit`` is the bytes that it counts."""

    name: str
    mark: bytes
    at: int = 0
    size_at: int | None = None
    order: str = "big"
    unit: int = 1


_FORMATS = (
    _Format("qcow2", b"QFI\xfb\x00\x00\x00\x02", size_at=24),
    _Format("qcow2", b"QFI\xfb\x00\x00\x00\x03", size_at=24),
    _Format("qcow", b"QFI\xfb\x00\x00\x00\x01", size_at=24),
    _Format("qed", b"QED\x00", size_at=48, order="little"),
    _Format("vmdk", b"KDMV", size_at=12, order="little", unit=512),
    _Format("vdi", b"\x7f\x10\xda\xbe", at=64, size_at=368, order="little"),
    _Format("vpc", b"conectix", size_at=40),
    _Format("iso", b"CD001", at=32769),
)
# Where a qcow or qcow2 header tells where the name of its backing file is.
_BACKING_AT = slice(8, 16)
# Formats whose bytes are the disk's own.
PLAIN = ("raw", "iso")


@dataclass(frozen=True)
class Image:
    """An image file on the machine where the module runs.

    :param length: bytes of the file
    :param capacity: bytes of the disk that it is
    """

    path: str
    format: str
    length: int
    capacity: int
    layered: bool = False


def probe(path: str) -> Image:
    """What a file is; whatever is not known is raw.

    :raises Refused: if there is no such file, or it cannot be read
    """
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            head = file.read(_HEAD) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        raise Refused(
            f"{path} cannot be read on the machine where the module runs: {error.strerror}."
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise Refused(f"{path} is no regular file.")
    if not status.st_size:
        raise Refused(f"{path} is empty.")
    found = next((f for f in _FORMATS if head[f.at :].startswith(f.mark)), None)
    if not found:
        return Image(path, "raw", status.st_size, status.st_size)
    if found.size_at is None:
        return Image(path, found.name, status.st_size, status.st_size)
    field = head[found.size_at : found.size_at + 8]
    capacity = int.from_bytes(field, found.order) * found.unit
    layered = found.name in ("qcow", "qcow2") and any(head[_BACKING_AT])
    return Image(path, found.name, status.st_size, capacity, layered)


def virtual_size(path: str, image_format: str) -> int | None:
    """The bytes that a disk image offers; None where there is no qemu-img to tell.

    :raises Refused: if the file is not there or is no such image
    """
    if not os.path.exists(path):
        raise Refused(f"The backing image {path} does not exist.")
    command = ["qemu-img", "info", "--force-share", "--output=json", "-f", image_format, path]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    if run.returncode:
        raise Refused(f"{path} cannot be read as {image_format}: {run.stderr.strip()}")
    return json.loads(run.stdout)["virtual-size"]
