# SPDX-License-Identifier: Apache-2.0
"""From decisions to switches: entries, and how they get there over P4Runtime."""
