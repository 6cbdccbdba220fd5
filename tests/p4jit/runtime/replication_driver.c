/* SPDX-License-Identifier: Apache-2.0 */
#include "replication.h"
#include "script.h"

/* Replicas as words "port:rid/backup port:rid/…". Returns how many there are. */
static uint32_t read_replicas(p4_replica **replicas, p4_copy **backups) {
  uint32_t count = (uint32_t)script_number(), backup_count = (uint32_t)script_number();
  *replicas = calloc(count + 1, sizeof **replicas);
  *backups = calloc(backup_count + 1, sizeof **backups);
  assert(*replicas != NULL && *backups != NULL);
  p4_copy *next = *backups;
  for (uint32_t i = 0; i < count; i++) {
    char *at = script_word();
    p4_replica *replica = &(*replicas)[i];
    replica->primary.port = (uint16_t)strtoul(at, &at, 10);
    replica->primary.rid = (uint16_t)strtoul(at + 1, &at, 10);
    replica->backups = next;
    for (; *at == '/'; next++, replica->backup_count++) {
      next->port = (uint16_t)strtoul(at + 1, &at, 10);
      next->rid = (uint16_t)strtoul(at + 1, &at, 10);
    }
  }
  return count;
}

static void print_copies(const p4_replica_set *set, const p4_port_map *up) {
  if (set == NULL) {
    puts("-");
    return;
  }
  printf("%" PRIu32 " %" PRIu32, set->class_of_service, set->truncate);
  for (uint32_t i = 0; i < set->count; i++) {
    p4_copy copy = p4_replica_choose(&set->replicas[i], up);
    printf(" %u:%u", copy.port, copy.rid);
  }
  putchar('\n');
}

int main(void) {
  p4_replication *pre = p4_replication_new();
  p4_port_map up = {0};
  static char line[1 << 17];
  for (char *op; (op = script_next(line, sizeof line)) != NULL;) {
    if (!strcmp(op, "end")) {
      p4_replication_free(pre);
      pre = p4_replication_new();
      up = (p4_port_map){0};
      script_end();
    } else if (!strcmp(op, "up")) {
      uint32_t port = (uint32_t)script_number();
      p4_port_map_put(&up, port, script_number() != 0);
    } else if (!strcmp(op, "set")) {
      bool session = !strcmp(script_word(), "session");
      uint32_t id = (uint32_t)script_number();
      uint32_t class = (uint32_t)script_number(), truncate = (uint32_t)script_number();
      p4_replica *replicas;
      p4_copy *backups;
      uint32_t count = read_replicas(&replicas, &backups);
      printf("%d\n", session ? p4_replication_set_session(pre, id, replicas, count, class, truncate)
                             : p4_replication_set_group(pre, id, replicas, count));
      free(replicas);
      free(backups);
    } else if (!strcmp(op, "delete")) {
      bool session = !strcmp(script_word(), "session");
      uint32_t id = (uint32_t)script_number();
      printf("%d\n", session ? p4_replication_delete_session(pre, id) : p4_replication_delete_group(pre, id));
    } else if (!strcmp(op, "copies")) {
      bool session = !strcmp(script_word(), "session");
      uint32_t id = (uint32_t)script_number();
      print_copies(session ? p4_replication_session(pre, id) : p4_replication_group(pre, id), &up);
    } else if (!strcmp(op, "clear")) {
      p4_replication_clear(pre);
    } else {
      fprintf(stderr, "unknown operation %s\n", op);
      abort();
    }
  }
  p4_replication_free(pre);
  return 0;
}
