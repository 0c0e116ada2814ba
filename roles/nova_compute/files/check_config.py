# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a configuration as nova-compute would and name the options with impossible values.

oslo-config-validator knows whether an option exists; it does not look at values.

Usage: check_config.py FILE DIRECTORY. Prints one line for each bad option, without its value,
because that may be a secret; the exit status is 1 if there was one.
"""

import importlib
import sys

import nova.conf
from nova import config
from oslo_config import cfg

CONF = nova.conf.CONF


def load(path, directory):
    """Parse the configuration, and have the driver register its options."""
    config.parse_args(
        ["nova-compute", "--config-file", path, "--config-dir", directory],
        configure_db=False,
        init_rpc=False,
    )
    importlib.import_module("nova.virt." + CONF.compute_driver.rpartition(".")[0])


def bad_options(options, section="DEFAULT"):
    """Yield section, option and kind of error for each option that cannot be read."""
    for name in options:
        try:
            value = getattr(options, name)
        except (cfg.Error, ValueError) as error:
            yield section, name, type(error).__name__
            continue
        if isinstance(value, cfg.ConfigOpts.GroupAttr):
            yield from bad_options(value, name)


def main():
    """Run the command line; return the exit status."""
    try:
        load(*sys.argv[1:])
    except (cfg.Error, ImportError) as error:
        print(f"{type(error).__name__}: {error}")
        return 1
    found = list(bad_options(CONF))
    for section, name, problem in found:
        print(f"{section}/{name}: {problem}, the value does not fit the option")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
