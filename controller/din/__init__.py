# SPDX-License-Identifier: Apache-2.0
"""din: the controller of a network that routes tokens to models, and the tools around it."""
