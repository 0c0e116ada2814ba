# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy a wheel with a line added to the end of one of its files.

Usage: change_wheel.py WHEEL DIRECTORY FILE LINE. The copy, in DIRECTORY, keeps the wheel's name.
"""

from __future__ import annotations

import pathlib
import sys
import zipfile


def main():
    """Run the command line."""
    source, directory, changed, line = sys.argv[1:]
    target = pathlib.Path(directory, pathlib.Path(source).name)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(
                entry, content + f"{line}\n".encode() if entry.filename == changed else content
            )


main()
