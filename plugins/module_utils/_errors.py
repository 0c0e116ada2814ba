# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The failures that the collection's modules tell a user about."""

from __future__ import annotations


class ModuleError(Exception):
    """Something that a user has to know; the text says what was tried and what to do."""


class Refused(ModuleError):
    """The request cannot be met, or not safely. Nothing has been changed."""


class NotFound(ModuleError):
    """Something that the request names does not exist."""


class Unreachable(ModuleError):
    """The hypervisor's daemon did not answer."""


class OperationFailed(ModuleError):
    """The hypervisor accepted a request and failed to carry it out.

    :param code: the hypervisor's own error number, where it has one
    :param busy: whether it may be only because somebody else is at work on the same thing
    """

    def __init__(self, message: str, code: int | None = None, busy: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.busy = busy


class MissingLibrary(ModuleError):
    """A Python library is not installed where the module runs.

    :param library: what to install, as a user would call it
    :param trace: the traceback of the failed import
    """

    def __init__(self, library: str, trace: str | None = None) -> None:
        super().__init__(f"The Python library {library} is not installed")
        self.library = library
        self.trace = trace
