# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Place a pure-Python wheel in the directory that holds an installed nova.

nova imports compute drivers only from its own ``nova.virt`` package, so the
plugin's loader must lie in the very directory that nova lies in. pip cannot
be told to do that for a distribution's packages, and is absent from some
virtual environments. The format of a wheel and of RECORD is that of
https://packaging.python.org/en/latest/specifications/binary-distribution-format/

Usage: wheel.py install WHEEL DIRECTORY | wheel.py remove NAME DIRECTORY
"""

from __future__ import annotations

import base64
import compileall
import csv
import hashlib
import importlib.util
import io
import os
import pathlib
import shutil
import sys
import tempfile
import zipfile


class WheelError(Exception):
    """The wheel cannot be placed; nothing was changed."""


def metadata_name(name: str) -> str:
    """Return a project's name as it is spelt in file names."""
    return name.replace("-", "_").lower()


def recorded_files(directory: pathlib.Path, name: str) -> set[pathlib.PurePosixPath]:
    """Return the files that installed versions of ``name`` own, relative to ``directory``."""
    owned = set()
    for info in directory.glob(f"{metadata_name(name)}-*.dist-info"):
        owned.update(
            pathlib.PurePosixPath(path.relative_to(directory).as_posix())
            for path in info.rglob("*")
            if path.is_file()
        )
        record = info / "RECORD"
        if record.is_file():
            rows = csv.reader(record.read_text(encoding="utf-8").splitlines())
            owned.update(pathlib.PurePosixPath(row[0]) for row in rows if row)
    return {path for path in owned if is_inside(path)}


def is_inside(path: pathlib.PurePosixPath) -> bool:
    """Tell whether a relative path stays below the directory it is relative to."""
    return not path.is_absolute() and ".." not in path.parts


def remove(directory: pathlib.Path, name: str) -> bool:
    """Remove every installed version of ``name``; True where there was one."""
    files = recorded_files(directory, name)
    parents = set()
    for file in files:
        target = directory / file
        target.unlink(missing_ok=True)
        cached = pathlib.Path(importlib.util.cache_from_source(str(target)))
        cached.unlink(missing_ok=True)
        parents.update(directory / parent for parent in file.parents if parent.parts)
        parents.add(cached.parent)
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
    return bool(files)


def check_contents(wheel: zipfile.ZipFile, directory: pathlib.Path, name: str) -> list[str]:
    """Return the files of a wheel, or raise WheelError if one must not be placed."""
    files = [entry for entry in wheel.namelist() if not entry.endswith("/")]
    owned = recorded_files(directory, name)
    for entry in files:
        path = pathlib.PurePosixPath(entry)
        if not is_inside(path) or path.parts[0].endswith(".data"):
            raise WheelError(f"{wheel.filename} has an unexpected file {entry}")
        if (directory / path).exists() and path not in owned:
            raise WheelError(
                f"{directory / path} exists and belongs to something else than {name}; "
                "remove it, or install the plugin beside another nova"
            )
    return files


def record_rows(root: pathlib.Path, files: list[str]) -> str:
    """Return the text of a RECORD that lists ``files``, with their hashes and sizes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for file in sorted(files):
        if file.endswith(".dist-info/RECORD"):
            writer.writerow((file, "", ""))
            continue
        content = (root / file).read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        writer.writerow((file, f"sha256={digest}", len(content)))
    return text.getvalue()


def install(wheel_path: pathlib.Path, directory: pathlib.Path) -> None:
    """Replace whatever version of a wheel's project is installed by that wheel.

    The files are unpacked beside their destination first, so that a full disk
    or a damaged wheel is noticed before the old version is taken away.
    """
    name = wheel_path.name.split("-")[0]
    with (
        zipfile.ZipFile(wheel_path) as wheel,
        tempfile.TemporaryDirectory(dir=directory, prefix=".nova-polyvisor-") as scratch,
    ):
        root = pathlib.Path(scratch)
        files = check_contents(wheel, directory, name)
        wheel.extractall(root)
        info = next(root.glob("*.dist-info"))
        (info / "INSTALLER").write_text("polyvisor.compute.nova_driver\n", encoding="utf-8")
        files = [*files, f"{info.name}/INSTALLER"]
        (info / "RECORD").write_text(record_rows(root, files), encoding="utf-8")
        remove(directory, name)
        for file in files:
            source, target = root / file, directory / file
            target.parent.mkdir(parents=True, exist_ok=True)
            os.chmod(source, 0o644)
            shutil.move(source, target)
    for file in files:
        if file.endswith(".py"):
            compileall.compile_file(directory / file, quiet=2, force=True)


def main() -> int:
    """Run the command line; the exit status is 0, or 1 with the reason on standard error."""
    os.umask(0o022)
    action, what, where = sys.argv[1:]
    try:
        if action == "install":
            install(pathlib.Path(what), pathlib.Path(where))
        else:
            remove(pathlib.Path(where), what)
    except (WheelError, OSError, zipfile.BadZipFile, StopIteration) as error:
        sys.stderr.write(f"{error or 'the wheel has no metadata'}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
