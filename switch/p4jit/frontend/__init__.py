# SPDX-License-Identifier: Apache-2.0
"""From p4c's JSON for bmv2 to the typed intermediate form."""
