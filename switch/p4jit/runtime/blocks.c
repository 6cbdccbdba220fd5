/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* mremap */

#include "blocks.h"

#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE (UINT64_C(1) << 21)

static uint64_t mapped_bytes(uint64_t bytes) { return (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE; }

void *p4_block_new(uint64_t bytes) {
  if (bytes < HUGE_PAGE) return aligned_alloc(64, (bytes + 63) / 64 * 64);
  /* Map a page too much to cut out an aligned range. */
  const uint64_t size = mapped_bytes(bytes);
  uint8_t *map = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return NULL;
  const uint64_t skip = (HUGE_PAGE - (uintptr_t)map % HUGE_PAGE) % HUGE_PAGE;
  if (skip != 0) munmap(map, skip);
  munmap(map + skip + size, HUGE_PAGE - skip);
  /* Where the kernel has no huge pages it only gets slower. */
  (void)madvise(map + skip, size, MADV_HUGEPAGE);
  return map + skip;
}

void *p4_block_zeroed(uint64_t bytes) {
  void *block = p4_block_new(bytes);
  /* A mapping is zero already: clearing it would take the time of all its pages at once. */
  if (block != NULL && bytes < HUGE_PAGE) memset(block, 0, bytes);
  return block;
}

void p4_block_free(void *block, uint64_t bytes) {
  if (bytes < HUGE_PAGE)
    free(block);
  else
    munmap(block, mapped_bytes(bytes));
}

void *p4_block_grow(void *block, uint64_t bytes, uint64_t new_bytes) {
  void *grown = p4_block_new(new_bytes);
  if (grown == NULL || block == NULL) return grown;
  if (bytes < HUGE_PAGE) {
    memcpy(grown, block, bytes);
    p4_block_free(block, bytes);
    return grown;
  }
  /* Copying would take tens of milliseconds: move the pages. */
  const uint64_t size = mapped_bytes(bytes);
  if (mremap(block, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, grown) != MAP_FAILED) return grown;
  munmap(grown, mapped_bytes(new_bytes));
  return NULL;
}
