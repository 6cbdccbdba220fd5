# SPDX-License-Identifier: Apache-2.0
"""What an operator wants the network to be, typed and validated.

`network.Model` is all of it; its parts are in `topology`, `service`, `policy` and `emulated`. `load.load`
reads a file, `load.parse` text; `check.check_file` also looks at what lies between the parts, and says where
in the file. `names` emits the services' names. What a model leaves open is settled in `wiring.Wiring` (ports,
MAC and management addresses) and `ids.assign` (numbers).
"""
