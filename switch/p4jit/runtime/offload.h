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

/* A TCP or UDP frame that stands for several: its sender wanted them cut by the interface (TSO, USO). */
typedef struct p4_segments {
  uint32_t length;    /* of the whole frame */
  uint32_t network;   /* offset of the IP header */
  uint32_t transport; /* of the TCP or UDP header */
  uint32_t headers;   /* bytes of all headers: each segment has them */
  uint32_t size;      /* bytes of payload in each but the last */
  uint32_t next;      /* offset of the next segment's payload */
  bool tcp;
} p4_segments;

/* False when the frame is not IPv4 or IPv6 (under at most two VLAN tags) with a whole TCP or UDP header at
 * `transport`, or a segment would exceed `room`. */
bool p4_segments_begin(p4_segments *, const uint8_t *frame, uint32_t length, uint32_t transport, uint32_t size,
                       bool tcp, uint32_t room);

/* Write the next segment, with its own lengths, sequence number and checksums; returns its bytes, or 0 when
 * there are no more. */
uint32_t p4_segments_next(p4_segments *, const uint8_t *frame, uint8_t *out);

#endif
