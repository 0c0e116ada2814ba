# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Small JSON files in the directories of instances, whole at any moment."""

import json
import os
from typing import Any

from nova import exception
from oslo_utils import fileutils


def read_record(path: str) -> dict[str, Any] | None:
    """Return what a file holds, None where there is no file.

    :raises InvalidDiskInfo: the file holds something else than a JSON object
    """
    try:
        with open(path) as file:
            text = file.read()
    except FileNotFoundError:
        return None
    try:
        record = json.loads(text or "{}")
    except ValueError as error:
        raise exception.InvalidDiskInfo(reason=f"{path}: {error}") from error
    if not isinstance(record, dict):
        raise exception.InvalidDiskInfo(reason=f"{path}: not a JSON object")
    return record


def write_record(path: str, record: dict[str, Any]) -> None:
    """Put a JSON object into a file, in place of what was there; its directory is made."""
    fileutils.ensure_tree(os.path.dirname(path))
    new = path + ".new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "w") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
