# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give ansible-test the pip bootstrap script that it would otherwise download.

ansible-test fetches get-pip.py from its own site, which a machine that reaches only package
indexes cannot. It looks into its cache first: this puts a script there that takes the pip of
the standard library's ensurepip to install the pinned one from the package index.

Run it with the Python whose ansible-test is meant.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from ansible_test._internal.python_requirements import get_venv_packages

BOOTSTRAP = """\
import ensurepip, subprocess, sys
only_of_get_pip = ("--no-setuptools", "--no-wheel")
wanted = [argument for argument in sys.argv[1:] if argument not in only_of_get_pip]
ensurepip.bootstrap()
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *wanted]))
"""


def main() -> None:
    version = get_venv_packages(SimpleNamespace(version="3.11"))["pip"]
    name = f"get_pip_{version.replace('.', '_')}.py"
    script = Path.home() / ".ansible" / "test" / "cache" / name
    if not script.exists():
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(BOOTSTRAP)


if __name__ == "__main__":
    main()
