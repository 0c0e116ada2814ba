# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print as JSON which nova an interpreter has, where it lies, and the plugin beside it.

nova is not imported: an old one may not even load with today's libraries.
"""

import importlib.metadata
import importlib.util
import json
import os
import sys


def version(name):
    """Return the installed version of a distribution, or an empty string (also for half of one)."""
    try:
        return importlib.metadata.version(name) or ""
    except importlib.metadata.PackageNotFoundError:
        return ""


spec = importlib.util.find_spec("nova")
json.dump(
    {
        "python": sys.executable,
        "python_version": list(sys.version_info[:2]),
        "nova": version("nova") if spec else "",
        "directory": os.path.dirname(os.path.dirname(spec.origin)) if spec else "",
        "plugin": version("nova-polyvisor"),
    },
    sys.stdout,
)
