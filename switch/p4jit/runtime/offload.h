/* SPDX-License-Identifier: Apache-2.0
 *
 * What a sender on the same machine left to its interface's hardware, done here instead: a virtual link has
 * no hardware, yet a switch shall see frames as they would be on a wire.
 */
#ifndef P4JIT_OFFLOAD_H
#define P4JIT_OFFLOAD_H

#include "core.h"

/* Complete the Internet checksum over [start, length) at start + offset (RFC 1071), where the sender left the
 * sum of the pseudo header. False, with the frame as it was, when the field lies outside of the frame. */
bool p4_complete_checksum(uint8_t *frame, uint32_t length, uint32_t start, uint32_t offset);

/* The same where nothing tells which frames are unfinished: TCP and UDP over IPv4 and IPv6, not fragmented,
 * whose checksum equals the pseudo header's sum, which is what a sender leaves. A frame finished already that
 * looks so by chance is given the checksum it had. */
void p4_guess_checksum(uint8_t *frame, uint32_t length);

#endif
