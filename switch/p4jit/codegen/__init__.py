# SPDX-License-Identifier: Apache-2.0
"""From the intermediate form to C."""
