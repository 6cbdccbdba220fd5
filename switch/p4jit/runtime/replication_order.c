/* SPDX-License-Identifier: Apache-2.0
 *
 * bmv2 keeps a group as a list of nodes, one for each instance (rid), and copies to a node's ports in
 * ascending order. Its P4Runtime server adds the nodes of a new group in the order in which a C++
 * std::unordered_map from rid to node walks them. When a group is modified the nodes it keeps stay where they
 * are, and new ones follow in that same order of the new map.
 *
 * libstdc++ hashes a number to itself and keeps all elements in one list, those of a bucket together: a new
 * element goes in front of its bucket, or in front of the whole list when its bucket is empty. Growing takes
 * the elements in the order of the list and inserts them anew.
 */
#include "replication_order.h"

#include <stdlib.h>

#define RIDS 65536u
#define NO_NODE P4_NONE

/* Numbers of buckets libstdc++ grows through; the last holds P4_MAX_REPLICAS. */
static const uint32_t bucket_counts[] = {13, 29, 59, 127, 257, 541, 1109, 2357, 5087};
#define MOST_BUCKETS 5087u

typedef struct node {
  uint16_t rid;
  uint32_t next, previous; /* in the list; NO_NODE at its ends */
} node;

typedef struct placed {
  uint32_t position;       /* of the node */
  p4_replica replica;
} placed;

typedef struct order {
  node nodes[P4_MAX_REPLICAS];
  uint32_t count;                /* nodes, in the order of their first appearance */
  uint32_t head;
  uint32_t buckets[MOST_BUCKETS]; /* each bucket's first node, or NO_NODE */
  uint32_t positions[RIDS];      /* of each rid, from 1; 0: not a node, NO_NODE: not known yet */
  placed placed[P4_MAX_REPLICAS];
} order;

static void list_insert(order *o, uint32_t index, uint32_t bucket_count) {
  uint32_t *bucket = &o->buckets[o->nodes[index].rid % bucket_count];
  uint32_t next = *bucket != NO_NODE ? *bucket : o->head;
  uint32_t previous = next != NO_NODE ? o->nodes[next].previous : NO_NODE;
  o->nodes[index].next = next;
  o->nodes[index].previous = previous;
  if (next != NO_NODE)
    o->nodes[next].previous = index;
  if (previous != NO_NODE)
    o->nodes[previous].next = index;
  else
    o->head = index;
  *bucket = index;
}

static void list_grow(order *o, uint32_t bucket_count) {
  uint32_t old = o->head;
  o->head = NO_NODE;
  for (uint32_t i = 0; i < bucket_count; i++)
    o->buckets[i] = NO_NODE;
  while (old != NO_NODE) {
    uint32_t next = o->nodes[old].next;
    list_insert(o, old, bucket_count);
    old = next;
  }
}

/* Link the nodes as the map does. */
static void list_build(order *o) {
  uint32_t size = 0;
  o->head = NO_NODE;
  list_grow(o, bucket_counts[0]);
  for (uint32_t i = 0; i < o->count; i++) {
    if (i == bucket_counts[size])
      list_grow(o, bucket_counts[++size]);
    list_insert(o, i, bucket_counts[size]);
  }
}

static int compare_placed(const void *a, const void *b) {
  const placed *x = a, *y = b;
  if (x->position != y->position)
    return x->position < y->position ? -1 : 1;
  uint16_t left = x->replica.primary.port, right = y->replica.primary.port;
  return (left > right) - (left < right);
}

/* Nodes that stay come first, in the order they had; then the others as the map has them. */
static void positions_assign(order *o, const p4_replica_set *before) {
  uint32_t position = 0;
  for (uint32_t i = 0; before != NULL && i < before->count; i++) {
    uint32_t *at = &o->positions[before->replicas[i].primary.rid];
    if (*at == NO_NODE)
      *at = ++position;
  }
  for (uint32_t i = o->head; i != NO_NODE; i = o->nodes[i].next) {
    uint32_t *at = &o->positions[o->nodes[i].rid];
    if (*at == NO_NODE)
      *at = ++position;
  }
}

int p4_replication_order(const p4_replica_set *before, p4_replica *replicas, uint32_t count) {
  if (count > P4_MAX_REPLICAS)
    return -1;
  order *o = calloc(1, sizeof *o);
  if (o == NULL)
    return -1;
  for (uint32_t i = 0; i < count; i++) {
    uint16_t rid = replicas[i].primary.rid;
    if (o->positions[rid] == 0) {
      o->positions[rid] = NO_NODE;
      o->nodes[o->count++].rid = rid;
    }
  }
  list_build(o);
  positions_assign(o, before);
  for (uint32_t i = 0; i < count; i++)
    o->placed[i] = (placed){.position = o->positions[replicas[i].primary.rid], .replica = replicas[i]};
  qsort(o->placed, count, sizeof *o->placed, compare_placed);
  for (uint32_t i = 0; i < count; i++)
    replicas[i] = o->placed[i].replica;
  free(o);
  return 0;
}
