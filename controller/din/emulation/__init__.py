# SPDX-License-Identifier: Apache-2.0
"""The network of a model on one machine: Mininet, in namespaces of its own.

In a program of one's own, inside a sandbox:
  `supervisor.Emulation`   start, stop, addresses, run, set_link, stop_switch, start_switch, slow, begin,
  host_cpu
From outside:
  `sandbox.start`, `sandbox.run`   a program in namespaces of its own; `sandbox.check` says why there are none
  ``python -m din.emulation FILE --state DIR [--target bmv2]``          an emulation in the foreground,
  `control.Client(DIR).ask("link", a="leaf1", b="spine1", up=False)`    and its control, over a Unix socket
In Mininet scripts of one's own:
  `switches.P4jitSwitch`, `switches.Bmv2Switch`, `links.PortLink`, `links.WireLink`

Its parts:
  `sandbox`, `inside`       namespaces from without and from within
  `links`, `switches`, `hosts`, `segments`, `topology`, `management`, `names`      the network
  `processes`, `servers`, `traffic`, `events`, `cpu`                               what happens in it
  `supervisor`, `control`, `foreground`                                            who sees to it
"""
