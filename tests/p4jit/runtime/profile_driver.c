/* SPDX-License-Identifier: Apache-2.0 */
#include "profile.h"
#include "script.h"

static uint32_t script_u32(void) { return (uint32_t)script_number(); }

/* member, weight, port: as many as the operation says. */
static uint32_t read_members(p4_group_member **members) {
  const uint32_t count = script_u32();
  *members = calloc(count + 1, sizeof **members);
  assert(*members != NULL);
  for (uint32_t i = 0; i < count; i++) {
    (*members)[i].member = script_u32();
    (*members)[i].weight = script_u32();
    (*members)[i].watch_port = script_u32();
  }
  return count;
}

static void set_group(p4_profile *p, bool add) {
  uint32_t handle = add ? P4_NONE : script_u32();
  p4_group_member *members;
  const uint32_t count = read_members(&members);
  const int status = add ? p4_profile_group_add(p, members, count, &handle)
                         : p4_profile_group_modify(p, handle, members, count);
  free(members);
  printf("%d %" PRIu32 "\n", status, handle);
}

static void get_group(p4_profile *p) {
  p4_group_member members[4];
  uint32_t count = 0;
  const uint32_t handle = script_u32();
  printf("%d", p4_profile_group_get(p, handle, members, 4, &count));
  printf(" %" PRIu32, count);
  for (uint32_t i = 0; i < count && i < 4; i++)
    printf(" %" PRIu32 " %" PRIu32 " %" PRIu32, members[i].member, members[i].weight, members[i].watch_port);
  putchar('\n');
}

static void print_member(const p4_entry *e) {
  if (e == NULL) {
    puts("-");
    return;
  }
  uint64_t data;
  memcpy(&data, e->data, sizeof data);
  printf("%" PRIu32 " %" PRIu32 " %" PRIu64 "\n", e->handle, e->action, data);
}

/* A table entry that refers to something, as lookups find it. */
static p4_entry *reference(uint32_t action, uint32_t handle) {
  static uint64_t storage[8];
  p4_entry *e = (p4_entry *)storage;
  e->action = action;
  memcpy(e->data, &handle, sizeof handle);
  return e;
}

int main(void) {
  static p4_profile p;
  static char line[1 << 16];
  for (char *op; (op = script_next(line, sizeof line)) != NULL;) {
    if (!strcmp(op, "end")) {
      p4_profile_free(&p);
      script_end();
    } else if (!strcmp(op, "init")) {
      const uint32_t data_bytes = script_u32();
      printf("%d\n", p4_profile_init(&p, data_bytes, script_u32()));
    } else if (!strcmp(op, "clear")) {
      printf("%d\n", p4_profile_clear(&p));
    } else if (!strcmp(op, "add_member")) {
      const uint32_t action = script_u32();
      const uint64_t data = script_number();
      uint32_t handle = P4_NONE;
      const int status = p4_profile_member_add(&p, action, &data, script_u32(), &handle);
      printf("%d %" PRIu32 "\n", status, handle);
    } else if (!strcmp(op, "modify_member")) {
      const uint32_t handle = script_u32(), action = script_u32();
      const uint64_t data = script_number();
      printf("%d\n", p4_profile_member_modify(&p, handle, action, &data, script_u32()));
    } else if (!strcmp(op, "delete_member")) {
      printf("%d\n", p4_profile_member_delete(&p, script_u32()));
    } else if (!strcmp(op, "get_member")) {
      print_member(p4_profile_member_get(&p, script_u32()));
    } else if (!strcmp(op, "add_group")) {
      set_group(&p, true);
    } else if (!strcmp(op, "modify_group")) {
      set_group(&p, false);
    } else if (!strcmp(op, "delete_group")) {
      printf("%d\n", p4_profile_group_delete(&p, script_u32()));
    } else if (!strcmp(op, "get_group")) {
      get_group(&p);
    } else if (!strcmp(op, "port")) {
      const uint32_t port = script_u32();
      p4_profile_port_changed(&p, port, script_number() != 0);
    } else if (!strcmp(op, "member")) {
      print_member(p4_profile_member(&p, reference(P4_ACTION_MEMBER, script_u32())));
    } else if (!strcmp(op, "pick")) {
      const uint32_t group = script_u32();
      print_member(p4_profile_pick(&p, reference(P4_ACTION_GROUP, group), script_number()));
    } else if (!strcmp(op, "reference")) {
      const uint32_t action = script_u32();
      printf("%d\n", p4_profile_reference(&p, action, script_u32()));
    } else if (!strcmp(op, "unreference")) {
      const uint32_t action = script_u32();
      p4_profile_unreference(&p, action, script_u32());
    } else {
      fprintf(stderr, "unknown operation %s\n", op);
      abort();
    }
  }
  p4_profile_free(&p);
  return 0;
}
