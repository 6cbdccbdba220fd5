/* SPDX-License-Identifier: Apache-2.0
 *
 * Capture files in the classic pcap format (draft-ietf-opsawg-pcap), link type Ethernet: written with
 * nanosecond stamps, read with either resolution and either byte order.
 */
#ifndef P4JIT_PCAP_H
#define P4JIT_PCAP_H

#include "core.h"

typedef struct p4_pcap_writer p4_pcap_writer;
typedef struct p4_pcap_reader p4_pcap_reader;

/* Creates or truncates the file. NULL with a message in `error`. */
p4_pcap_writer *p4_pcap_create(const char *path, char *error, size_t error_bytes);

/* `time`: ns since the Unix epoch. Buffered; returns 0 or -errno of the first failed write, after which
 * nothing more is written. */
int p4_pcap_write(p4_pcap_writer *, uint64_t time, const uint8_t *data, uint32_t length);
int p4_pcap_flush(p4_pcap_writer *);
int p4_pcap_finish(p4_pcap_writer *); /* flush and close; NULL is fine */

/* NULL with a message in `error`: not a capture, not Ethernet, or a pcapng file. */
p4_pcap_reader *p4_pcap_open(const char *path, char *error, size_t error_bytes);

/* The next frame, at most `room` bytes of it: 1, 0 at the end of the file (a file cut off within a
 * record ends there), or -EINVAL for a record that can't be. `*length` is what the record holds, which may
 * exceed room: then the frame is incomplete. `*time` is ns since the epoch. */
int p4_pcap_read(p4_pcap_reader *, uint8_t *data, uint32_t room, uint32_t *length, uint64_t *time);
void p4_pcap_close(p4_pcap_reader *); /* NULL is fine */

#endif
