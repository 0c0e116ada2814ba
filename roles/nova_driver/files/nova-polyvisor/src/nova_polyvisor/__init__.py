# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Compute drivers for OpenStack Nova."""

__version__ = "1.0.0"
