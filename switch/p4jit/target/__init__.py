# SPDX-License-Identifier: Apache-2.0
"""Devices: compiled programs, ports and life cycle."""
