/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for arrays that packets index at random. Large ones get huge pages: otherwise most lookups would
 * miss the TLB as well as the cache.
 */
#ifndef P4JIT_BLOCKS_H
#define P4JIT_BLOCKS_H

#include <string.h>

#include "core.h"

/* Aligned to 64 bytes, not zeroed; NULL when there is no memory. */
void *p4_block_new(uint64_t bytes);
void *p4_block_zeroed(uint64_t bytes);
void p4_block_free(void *block, uint64_t bytes);
/* A larger block with the old one's contents, which is freed; NULL, and the old one stays. */
void *p4_block_grow(void *block, uint64_t bytes, uint64_t new_bytes);

#endif
