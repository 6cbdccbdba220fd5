/* SPDX-License-Identifier: Apache-2.0 */
#include "profile.h"

/* A group's member, linked with the others that watch the same port so that a port's change touches only
 * the groups it concerns. */
struct p4_watch {
  p4_group_member spec;
  uint32_t group;
  p4_watch **link;           /* what points here */
  p4_watch *next;
};

static void watch_ports(p4_profile *p, p4_watch *members, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    p4_watch *w = &members[i];
    if (w->spec.watch_port == P4_NONE) continue;
    w->link = &p->watches[w->spec.watch_port];
    w->next = *w->link;
    if (w->next != NULL) w->next->link = &w->next;
    *w->link = w;
  }
}

static void unwatch_ports(p4_watch *members, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    p4_watch *w = &members[i];
    if (w->spec.watch_port == P4_NONE) continue;
    *w->link = w->next;
    if (w->next != NULL) w->next->link = w->link;
  }
}

static void rebuild(p4_profile *p, p4_group *group) {
  uint32_t size = 0;
  for (uint32_t i = 0; i < group->member_count; i++) {
    const p4_group_member *m = &group->members[i].spec;
    if (m->watch_port != P4_NONE && !p->up[m->watch_port]) continue;
    for (uint32_t k = 0; k < m->weight; k++) group->places[size++] = m->member;
  }
  group->size = size;
  group->rebuilt = p->generation;
}

static p4_group *group_at(const p4_profile *p, uint32_t handle) {
  return p4_handles_taken(&p->group_handles, handle) ? &p->groups[handle] : NULL;
}

int p4_profile_init(p4_profile *p, uint32_t data_bytes, uint32_t max_size) {
  *p = (p4_profile){.data_bytes = data_bytes, .max_members = max_size};
  if (data_bytes % 8 != 0) return P4_INVALID;
  p->max_groups = max_size > P4_MIN_MAX_GROUPS ? max_size : P4_MIN_MAX_GROUPS;
  p->member_stride = (sizeof(p4_entry) + (uint64_t)data_bytes + 63) / 64 * 64;
  return P4_OK;
}

static void release_group(p4_profile *p, p4_group *group) {
  unwatch_ports(group->members, group->member_count);
  for (uint32_t i = 0; i < group->member_count; i++) p->uses[group->members[i].spec.member].groups--;
  free(group->members);
  free(group->places);
}

static void release_all(p4_profile *p) {
  for (uint32_t i = 0; i < p->group_capacity; i++)
    if (p4_handles_taken(&p->group_handles, i)) release_group(p, &p->groups[i]);
  p4_handles_free(&p->group_handles);
  p4_handles_free(&p->member_handles);
  free(p->groups);
  free(p->members);
  free(p->uses);
  p->groups = NULL;
  p->members = NULL;
  p->uses = NULL;
  p->group_capacity = 0;
  p->member_capacity = 0;
}

void p4_profile_free(p4_profile *p) {
  release_all(p);
  *p = (p4_profile){0};
}

int p4_profile_clear(p4_profile *p) {
  if (p->references != 0) return P4_IN_USE;
  release_all(p);
  return P4_OK;
}

/* ---- members --------------------------------------------------------------------------------------- */

static bool grow_members(p4_profile *p) {
  uint32_t capacity = p->member_capacity == 0 ? 4 : p->member_capacity * 2;
  uint8_t *members = aligned_alloc(64, capacity * p->member_stride);
  if (members == NULL) return false;
  p4_member_uses *uses = realloc(p->uses, capacity * sizeof *uses);
  if (uses == NULL) {
    free(members);
    return false;
  }
  p->uses = uses;
  if (p->member_capacity != 0) memcpy(members, p->members, p->member_capacity * p->member_stride);
  for (uint32_t i = p->member_capacity; i < capacity; i++)
    ((p4_entry *)(members + i * p->member_stride))->handle = P4_NONE;
  free(p->members);
  p->members = members;
  p->member_capacity = capacity;
  return true;
}

static void set_member(p4_profile *p, p4_entry *member, uint32_t action, const void *data, uint32_t length) {
  member->action = action;
  if (length != 0) memcpy(member->data, data, length);
  memset(member->data + length, 0, p->data_bytes - length);
}

int p4_profile_member_add(p4_profile *p, uint32_t action, const void *data, uint32_t data_length, uint32_t *handle) {
  if (data_length > p->data_bytes) return P4_INVALID;
  uint32_t given = p4_handles_take(&p->member_handles);
  if (given == P4_NONE) return P4_NO_MEMORY;
  /* Handles are the smallest that are free: this one is below the limit exactly if the count is. */
  int status = given >= p->max_members ? P4_FULL : P4_OK;
  if (status == P4_OK && given >= p->member_capacity && !grow_members(p)) status = P4_NO_MEMORY;
  if (status != P4_OK) {
    p4_handles_return(&p->member_handles, given);
    return status;
  }
  p4_entry *member = (p4_entry *)(p->members + given * p->member_stride);
  *member = (p4_entry){.handle = given};
  set_member(p, member, action, data, data_length);
  p->uses[given] = (p4_member_uses){0};
  *handle = given;
  return P4_OK;
}

p4_entry *p4_profile_member_get(p4_profile *p, uint32_t handle) { return p4_profile_member_at(p, handle); }

int p4_profile_member_modify(p4_profile *p, uint32_t handle, uint32_t action, const void *data,
                             uint32_t data_length) {
  p4_entry *member = p4_profile_member_at(p, handle);
  if (member == NULL) return P4_NOT_FOUND;
  if (data_length > p->data_bytes) return P4_INVALID;
  set_member(p, member, action, data, data_length);
  return P4_OK;
}

int p4_profile_member_delete(p4_profile *p, uint32_t handle) {
  p4_entry *member = p4_profile_member_at(p, handle);
  if (member == NULL) return P4_NOT_FOUND;
  if (p->uses[handle].entries != 0 || p->uses[handle].groups != 0) return P4_IN_USE;
  member->handle = P4_NONE;
  p4_handles_return(&p->member_handles, handle);
  return P4_OK;
}

/* ---- groups ---------------------------------------------------------------------------------------- */

static int by_handle(const void *a, const void *b) {
  uint32_t x = ((const p4_watch *)a)->spec.member, y = ((const p4_watch *)b)->spec.member;
  return x < y ? -1 : x > y;
}

/* The parts of a group that depend on its members, not linked to anything yet. */
static int prepare_group(p4_profile *p, const p4_group_member *members, uint32_t count, p4_group *made) {
  uint64_t places = 0;
  *made = (p4_group){.member_count = count};
  for (uint32_t i = 0; i < count; i++) {
    const p4_group_member *m = &members[i];
    if (p4_profile_member_at(p, m->member) == NULL) return P4_NOT_FOUND;
    if (m->weight == 0 || (m->watch_port != P4_NONE && m->watch_port >= P4_MAX_PORTS)) return P4_INVALID;
    places += m->weight;
  }
  if (places > P4_MAX_GROUP_PLACES) return P4_FULL;
  if (count == 0) return P4_OK;
  made->members = calloc(count, sizeof *made->members);
  made->places = calloc(places, sizeof *made->places);
  int status = made->members != NULL && made->places != NULL ? P4_OK : P4_NO_MEMORY;
  if (status == P4_OK) {
    for (uint32_t i = 0; i < count; i++) made->members[i].spec = members[i];
    qsort(made->members, count, sizeof *made->members, by_handle);
    for (uint32_t i = 1; i < count; i++)
      if (made->members[i - 1].spec.member == made->members[i].spec.member) status = P4_INVALID;
  }
  if (status != P4_OK) {
    free(made->members);
    free(made->places);
  }
  return status;
}

static void install_group(p4_profile *p, uint32_t handle, const p4_group *made) {
  p4_group *group = &p->groups[handle];
  *group = *made;
  watch_ports(p, group->members, group->member_count);
  for (uint32_t i = 0; i < group->member_count; i++) p->uses[group->members[i].spec.member].groups++;
  for (uint32_t i = 0; i < group->member_count; i++) group->members[i].group = handle;
  rebuild(p, group);
}

static bool grow_groups(p4_profile *p) {
  uint32_t capacity = p->group_capacity == 0 ? 4 : p->group_capacity * 2;
  p4_group *groups = realloc(p->groups, capacity * sizeof *groups);
  if (groups == NULL) return false;
  memset(groups + p->group_capacity, 0, (capacity - p->group_capacity) * sizeof *groups);
  p->groups = groups;
  p->group_capacity = capacity;
  return true;
}

int p4_profile_group_add(p4_profile *p, const p4_group_member *members, uint32_t count, uint32_t *handle) {
  p4_group made;
  int status = prepare_group(p, members, count, &made);
  if (status != P4_OK) return status;
  uint32_t given = p4_handles_take(&p->group_handles);
  if (given == P4_NONE)
    status = P4_NO_MEMORY;
  else if (given >= p->max_groups)
    status = P4_FULL;
  else if (given >= p->group_capacity && !grow_groups(p))
    status = P4_NO_MEMORY;
  if (status != P4_OK) {
    if (given != P4_NONE) p4_handles_return(&p->group_handles, given);
    free(made.members);
    free(made.places);
    return status;
  }
  install_group(p, given, &made);
  *handle = given;
  return P4_OK;
}

int p4_profile_group_modify(p4_profile *p, uint32_t handle, const p4_group_member *members, uint32_t count) {
  p4_group *group = group_at(p, handle);
  if (group == NULL) return P4_NOT_FOUND;
  p4_group made;
  int status = prepare_group(p, members, count, &made);
  if (status != P4_OK) return status;
  made.references = group->references;
  release_group(p, group);
  install_group(p, handle, &made);
  return P4_OK;
}

int p4_profile_group_delete(p4_profile *p, uint32_t handle) {
  p4_group *group = group_at(p, handle);
  if (group == NULL) return P4_NOT_FOUND;
  if (group->references != 0) return P4_IN_USE;
  release_group(p, group);
  *group = (p4_group){0};
  p4_handles_return(&p->group_handles, handle);
  return P4_OK;
}

int p4_profile_group_get(const p4_profile *p, uint32_t handle, p4_group_member *members, uint32_t max,
                         uint32_t *count) {
  const p4_group *group = group_at(p, handle);
  if (group == NULL) return P4_NOT_FOUND;
  *count = group->member_count;
  for (uint32_t i = 0; i < group->member_count && i < max; i++) members[i] = group->members[i].spec;
  return P4_OK;
}

void p4_profile_port_changed(p4_profile *p, uint32_t port, bool up) {
  if (port >= P4_MAX_PORTS || p->up[port] == up) return;
  p->up[port] = up;
  p->generation++;
  for (const p4_watch *w = p->watches[port]; w != NULL; w = w->next) {
    p4_group *group = &p->groups[w->group];
    /* A group may watch the port for several members: once is enough. */
    if (group->rebuilt != p->generation) rebuild(p, group);
  }
}

/* ---- references ------------------------------------------------------------------------------------ */

static uint32_t *references_to(p4_profile *p, uint32_t action, uint32_t handle) {
  if (action == P4_ACTION_MEMBER) return p4_profile_member_at(p, handle) != NULL ? &p->uses[handle].entries : NULL;
  p4_group *group = group_at(p, handle);
  return group != NULL ? &group->references : NULL;
}

int p4_profile_reference(p4_profile *p, uint32_t action, uint32_t handle) {
  uint32_t *references = references_to(p, action, handle);
  if (references == NULL) return P4_NOT_FOUND;
  ++*references;
  p->references++;
  return P4_OK;
}

void p4_profile_unreference(p4_profile *p, uint32_t action, uint32_t handle) {
  --*references_to(p, action, handle);
  p->references--;
}
