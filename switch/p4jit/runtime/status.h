/* SPDX-License-Identifier: Apache-2.0
 *
 * What control calls on tables, action profiles and value sets return: 0, or why nothing was changed.
 */
#ifndef P4JIT_STATUS_H
#define P4JIT_STATUS_H

enum p4_status {
  P4_OK = 0,
  P4_NOT_FOUND = -1, /* no such entry, member or group */
  P4_EXISTS = -2,    /* an entry with this key is there */
  P4_FULL = -3,      /* the size that was declared, or a group's places, are used up */
  P4_NO_MEMORY = -4,
  P4_IN_USE = -5,    /* something still refers to it */
  P4_INVALID = -6,   /* the request contradicts the table */
};

#endif
