# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""What differs between the releases of nova, and which of them are supported."""

import importlib.metadata

#: Major versions of nova: 33 is 2026.1, 34 is 2026.2.
SUPPORTED_NOVA = (33, 34)


class UnsupportedNovaError(ImportError):
    """The nova beside the plugin is none that the plugin was tested with.

    An ImportError, because that is what nova's loader reports and exits on.
    """


def nova_version() -> str:
    """Return the version of the nova that is installed here, such as ``34.0.0``.

    :raises UnsupportedNovaError: no nova is installed here
    """
    try:
        return importlib.metadata.version("nova")
    except importlib.metadata.PackageNotFoundError:
        raise UnsupportedNovaError(
            "nova is not installed beside nova-polyvisor. Install the plugin into the Python "
            "environment that nova-compute runs from."
        ) from None


def require_supported_nova() -> None:
    """Refuse a nova that the plugin does not support.

    :raises UnsupportedNovaError: nova is older or newer than what is supported
    """
    version = nova_version()
    major = version.split(".", 1)[0]
    if major.isdigit() and int(major) in SUPPORTED_NOVA:
        return
    supported = " and ".join(str(release) for release in SUPPORTED_NOVA)
    raise UnsupportedNovaError(
        f"nova-polyvisor supports nova {supported}, and this is nova {version}. Install a "
        f"supported nova, or a release of nova-polyvisor that supports nova {major}."
    )
