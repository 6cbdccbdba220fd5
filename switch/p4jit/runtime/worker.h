/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread that carries packets on a wall-clock device.
 */
#ifndef P4JIT_WORKER_H
#define P4JIT_WORKER_H

#include "device.h"

/* What epoll says is ready: a port's number, or one of these. */
#define P4_WAKE_TAG 0xffffffffu
#define P4_MONITOR_TAG 0xfffffffeu

/* Return 0 or -errno. Starting a device that runs does nothing. */
int p4_worker_start(p4_device *);
void p4_worker_stop(p4_device *);

/* Have the worker look at the device again: a port was added, a frame injected, a rate changed. */
void p4_worker_wake(p4_device *);

/* Keep epoll in step with a port whose descriptor came, went or changed. The lock is held. */
void p4_worker_watch(p4_device *, p4_port *, int old_fd);

#endif
