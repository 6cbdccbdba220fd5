/* SPDX-License-Identifier: Apache-2.0 */
#include "replication.h"

#include <stdlib.h>

/* Identifiers are looked up in two steps, so that a device with a few groups holds a few pages only. */
#define PAGE 256u
#define PAGES 256u

typedef struct directory {
  p4_replica_set **pages[PAGES];
} directory;

struct p4_replication {
  directory groups;
  directory sessions;
};

static const p4_replica_set *directory_get(const directory *d, uint32_t id) {
  if (id >= PAGE * PAGES || d->pages[id / PAGE] == NULL)
    return NULL;
  return d->pages[id / PAGE][id % PAGE];
}

static int directory_put(directory *d, uint32_t id, p4_replica_set *set) {
  p4_replica_set ***page = &d->pages[id / PAGE];
  if (*page == NULL && (*page = calloc(PAGE, sizeof **page)) == NULL)
    return -1;
  free((*page)[id % PAGE]);
  (*page)[id % PAGE] = set;
  return 0;
}

static int directory_delete(directory *d, uint32_t id) {
  return directory_get(d, id) != NULL ? directory_put(d, id, NULL) : -1;
}

static void directory_clear(directory *d) {
  for (uint32_t p = 0; p < PAGES; p++) {
    if (d->pages[p] == NULL)
      continue;
    for (uint32_t i = 0; i < PAGE; i++)
      free(d->pages[p][i]);
    free(d->pages[p]);
    d->pages[p] = NULL;
  }
}

static int compare_copies(const void *a, const void *b) {
  const p4_copy *x = a, *y = b;
  if (x->port != y->port)
    return x->port < y->port ? -1 : 1;
  return (x->rid > y->rid) - (x->rid < y->rid);
}

static bool distinct_primaries(const p4_replica *replicas, uint32_t count, p4_copy *scratch) {
  for (uint32_t i = 0; i < count; i++)
    scratch[i] = replicas[i].primary;
  qsort(scratch, count, sizeof *scratch, compare_copies);
  for (uint32_t i = 1; i < count; i++)
    if (compare_copies(&scratch[i - 1], &scratch[i]) == 0)
      return false;
  return true;
}

static bool valid_replica(const p4_replica *replica) {
  if (replica->primary.port >= P4_MAX_PORTS || replica->backup_count > P4_MAX_BACKUPS)
    return false;
  p4_port_map seen = {0};
  p4_port_map_put(&seen, replica->primary.port, true);
  for (uint32_t i = 0; i < replica->backup_count; i++) {
    uint16_t port = replica->backups[i].port;
    if (port >= P4_MAX_PORTS || p4_port_map_get(&seen, port))
      return false;
    p4_port_map_put(&seen, port, true);
  }
  return true;
}

/* A copy of the replicas in one allocation, the backups behind them; NULL if they are refused. */
static p4_replica_set *set_make(const p4_replica *replicas, uint32_t count) {
  if (count > P4_MAX_REPLICAS)
    return NULL;
  size_t backups = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (!valid_replica(&replicas[i]))
      return NULL;
    backups += replicas[i].backup_count;
  }
  /* The tail first serves to look for duplicates. */
  size_t tail = backups > count ? backups : count;
  p4_replica_set *set = malloc(sizeof *set + count * sizeof(p4_replica) + tail * sizeof(p4_copy));
  if (set == NULL)
    return NULL;
  p4_copy *copies = (p4_copy *)&set->replicas[count];
  if (!distinct_primaries(replicas, count, copies)) {
    free(set);
    return NULL;
  }
  *set = (p4_replica_set){.count = count};
  for (uint32_t i = 0; i < count; i++) {
    set->replicas[i] = replicas[i];
    set->replicas[i].backups = copies;
    for (uint32_t b = 0; b < replicas[i].backup_count; b++)
      *copies++ = replicas[i].backups[b];
  }
  return set;
}

p4_replication *p4_replication_new(void) { return calloc(1, sizeof(p4_replication)); }

void p4_replication_clear(p4_replication *pre) {
  directory_clear(&pre->groups);
  directory_clear(&pre->sessions);
}

void p4_replication_free(p4_replication *pre) {
  if (pre == NULL)
    return;
  p4_replication_clear(pre);
  free(pre);
}

static int put_or_free(directory *d, uint32_t id, p4_replica_set *set) {
  if (directory_put(d, id, set) == 0)
    return 0;
  free(set);
  return -1;
}

int p4_replication_set_group(p4_replication *pre, uint32_t group, const p4_replica *replicas, uint32_t count) {
  p4_replica_set *set;
  if (group == 0 || group > P4_MAX_GROUP || (set = set_make(replicas, count)) == NULL)
    return -1;
  return put_or_free(&pre->groups, group, set);
}

int p4_replication_set_session(p4_replication *pre, uint32_t session, const p4_replica *replicas, uint32_t count,
                               uint32_t class_of_service, uint32_t truncate) {
  p4_replica_set *set;
  if (session > P4_MAX_SESSION || (set = set_make(replicas, count)) == NULL)
    return -1;
  set->class_of_service = class_of_service;
  set->truncate = truncate;
  return put_or_free(&pre->sessions, session, set);
}

int p4_replication_delete_group(p4_replication *pre, uint32_t group) {
  return directory_delete(&pre->groups, group);
}

int p4_replication_delete_session(p4_replication *pre, uint32_t session) {
  return directory_delete(&pre->sessions, session);
}

const p4_replica_set *p4_replication_group(const p4_replication *pre, uint32_t group) {
  return directory_get(&pre->groups, group);
}

const p4_replica_set *p4_replication_session(const p4_replication *pre, uint32_t session) {
  return directory_get(&pre->sessions, session);
}
