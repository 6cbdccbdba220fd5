/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract between a compiled program and the runtime.
 *
 * A program is a shared library generated from one bmv2 JSON. It holds code and constants only; every
 * byte of state (tables, registers, queues, ports) belongs to a p4_device, so that one library serves
 * many devices. Times are nanoseconds on the device's clock, which starts at 0 when the device does and
 * is either the monotonic clock or stepped by the caller (virtual time).
 */
#ifndef P4JIT_CORE_H
#define P4JIT_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define P4_ABI_VERSION 1u

#define P4_NEVER UINT64_MAX        /* a time that does not come */
#define P4_NONE UINT32_MAX         /* no handle, no index */
#define P4_MAX_PORTS 512u          /* v1model ports are 9 bits */
#define P4_MAX_QUEUES 8u           /* strict-priority queues per port; 7 is served first */
#define P4_ACCEPTED 16u            /* packets that `fetch` is given at most */
#define P4_LARGE_TABLE 8192u       /* entries from which a table is taken to lie outside the cache */
#define P4_FRAME_BYTES 10240u      /* largest frame carried: jumbo plus the fabric's overhead */

#if defined(__GNUC__)
#define P4_INLINE static inline __attribute__((always_inline, unused))
/* Actions are small or called from one table: GCC inlines them as it sees fit. */
#define P4_ACTION static __attribute__((unused))
#define P4_EXPORT __attribute__((visibility("default")))
#define P4_LIKELY(x) __builtin_expect(!!(x), 1)
#define P4_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#error "p4jit needs GCC or Clang"
#endif

__extension__ typedef unsigned __int128 p4_u128;
__extension__ typedef __int128 p4_i128;

typedef struct p4_device p4_device;

/* standard_metadata.instance_type, with simple_switch's values. */
enum p4_instance {
  P4_NORMAL = 0,
  P4_INGRESS_CLONE = 1,
  P4_EGRESS_CLONE = 2,
  P4_RECIRCULATED = 4,
  P4_REPLICATED = 5,
  P4_RESUBMITTED = 6,
};

/* A packet and what one pass of the program decided about it. The program's own state (headers and
 * metadata, "PHV") follows in `phv`, sized by the program; it travels with the packet through the queue. */
typedef struct p4_packet {
  struct p4_packet *next;    /* link in a queue or free list */
  uint8_t *data;             /* first byte of the frame */
  uint32_t length;           /* bytes at data */
  uint32_t capacity;         /* bytes writable from data on; headroom lies before data */
  uint32_t payload;          /* offset of the first byte the parser did not take */
  uint32_t packet_length;    /* simple_switch's length register: follows setValid/setInvalid */
  uint32_t ingress_length;   /* frame length at the start of ingress: what counters and meters count */
  uint16_t ingress_port;
  uint16_t egress_port;
  uint16_t egress_rid;
  uint8_t instance_type;     /* enum p4_instance */
  uint8_t queue;             /* 0 is served last */
  uint64_t arrival;          /* ns, when the frame reached the device */
  uint64_t enqueued;         /* ns */
  uint64_t dequeued;         /* ns */
  uint32_t enqueue_depth;    /* packets in the queue before this one */
  uint32_t dequeue_depth;    /* packets left in the queue */

  /* Decided by a pass; cleared by the runtime before each. */
  uint32_t egress_spec;
  uint32_t priority;         /* standard_metadata.priority, before any clamp */
  uint16_t multicast_group;
  uint16_t clone_session;
  uint16_t clone_fields;     /* field list kept by the clone; 0 = none */
  uint16_t resubmit_fields;  /* field list; 0 = no resubmit */
  uint16_t recirculate_fields;
  uint16_t digest;           /* learn list; 0 = none */
  uint32_t truncate_to;      /* bytes; UINT32_MAX = whole */
  bool clone;
  bool failed_assertion;     /* assert() or assume() was false: dropped and counted */
  bool replicated;           /* a copy made by the replication engine: egress_rid holds */
  uint8_t reserved;

  uint8_t *buffer;           /* the whole buffer: headroom + frame */
  void *phv;                 /* program state, program->phv_bytes, 64-byte aligned */
} p4_packet;

/* ---- match-action tables -------------------------------------------------------------------------- */

enum p4_match_kind { P4_EXACT, P4_LPM, P4_TERNARY, P4_RANGE, P4_KEYLESS };

/* Key words. Every field of at most 64 bits lies within one word; a wider field takes whole words, least
 * significant first. In an LPM table the exact fields come first and the LPM field last, left-aligned
 * from word `lpm_word`, most significant word first, so that a prefix of the field is a prefix of words. */
typedef struct p4_range_field {
  uint16_t word;             /* first word */
  uint8_t shift;             /* bit offset in the word (0 when the field is wider than 64 bits) */
  uint8_t reserved;
  uint32_t width;            /* bits */
} p4_range_field;

typedef struct p4_table_info {
  uint8_t kind;              /* enum p4_match_kind */
  bool direct_counter;
  bool idle_timeout;
  uint8_t profile_kind;      /* 0 plain, 1 action profile, 2 action selector */
  uint16_t key_words;
  uint16_t lpm_word;
  uint32_t lpm_width;        /* bits */
  uint32_t max_size;         /* entries */
  uint32_t data_bytes;       /* largest action data, multiple of 8 */
  uint32_t profile;          /* index of the action profile, P4_NONE if plain */
  uint32_t direct_meter;     /* index of the meter array, P4_NONE if none */
  const p4_range_field *ranges;
  uint32_t range_count;
} p4_table_info;

/* What a lookup returns. `data` holds the action's parameters as the program laid them out; a direct
 * meter's state, when the table has one, follows at offset data_bytes. */
typedef struct p4_entry {
  uint32_t action;           /* program's action index, or P4_ACTION_MEMBER / P4_ACTION_GROUP */
  uint32_t handle;
  uint64_t packets;          /* direct counter */
  uint64_t bytes;
  uint64_t last_hit;         /* ns; the insertion time until the first hit */
  uint8_t data[];
} p4_entry;

#define P4_ACTION_MEMBER 0xfffffffdu /* data: uint32_t member handle */
#define P4_ACTION_GROUP 0xfffffffeu  /* data: uint32_t group handle */

typedef struct p4_table p4_table;     /* table.h */
typedef struct p4_profile p4_profile; /* profile.h */

/* ---- stateful externs ----------------------------------------------------------------------------- */

typedef struct p4_counter {
  uint64_t packets;
  uint64_t bytes;
} p4_counter;

typedef struct p4_counter_array {
  p4_counter *cells;
  uint32_t size;
} p4_counter_array;

/* Cells are unsigned and hold `width` bits: uint8_t, uint16_t, uint32_t, uint64_t, p4_u128, or for wider
 * ones an array of uint64_t, least significant first. */
typedef struct p4_register_array {
  void *cells;
  uint32_t size;
  uint32_t cell_bytes;
} p4_register_array;

typedef struct p4_array_info {
  uint32_t size;
  uint32_t width;            /* registers: bits; meters: 0 packets, 1 bytes */
} p4_array_info;

typedef struct p4_meter_array p4_meter_array; /* meter.h */

/* ---- the program ---------------------------------------------------------------------------------- */

/* What generated code sees of its device. */
typedef struct p4_context {
  uint64_t now;              /* ns, for the packet in hand */
  p4_table *tables;
  p4_profile *profiles;
  p4_counter_array *counters;
  p4_meter_array *meters;
  p4_register_array *registers;
  struct p4_value_set *value_sets;
  uint64_t random_state[4];
  uint32_t drop_port;
  p4_device *device;
} p4_context;

typedef struct p4_program {
  uint32_t abi_version;
  uint32_t phv_bytes;
  uint32_t headroom;         /* most bytes of headers the deparser can write */
  uint32_t table_count, profile_count, counter_count, meter_count, register_count, value_set_count;
  uint32_t digest_count;
  const p4_table_info *tables;
  const uint32_t *profile_data_bytes;
  const uint32_t *profile_sizes;
  const p4_array_info *counters, *meters, *registers;
  const uint32_t *value_set_words;

  /* Parse and verify checksums; then run ingress, which leaves the PHV for egress and the decisions in the
   * packet. A parser that has side effects leaves all to `ingress`. Between the two, for a burst of packets,
   * `fetch` brings what their lookups in large tables will need into the cache: it changes nothing, and is
   * NULL when no table could gain. */
  void (*parse)(p4_context *, p4_packet *);
  void (*fetch)(p4_context *, p4_packet *const *, uint32_t count);
  void (*ingress)(p4_context *, p4_packet *);
  /* Parse again for an ingress-to-egress clone or a resubmit: headers only, metadata zero. */
  void (*reparse)(p4_context *, p4_packet *);
  /* Run egress, update checksums, deparse: data and length are then the frame to send. The PHV is left as
   * egress left it. deparse is separate because a clone is taken between the two. */
  void (*egress)(p4_context *, p4_packet *);
  void (*deparse)(p4_context *, p4_packet *);
  /* Copy the fields of one preserved field list between two PHVs. */
  void (*copy_fields)(uint32_t list, void *to, const void *from);
  /* Zero all metadata of a PHV (headers stay). */
  void (*reset_metadata)(void *phv);
  /* The priority a copy made for a clone is queued with (standard_metadata.priority). */
  uint32_t (*priority)(const void *phv);
  /* Write digest `list` (1-based) of a PHV, each field big-endian in whole bytes; returns the bytes, at
   * most `room`. */
  uint32_t (*digest)(uint32_t list, const void *phv, uint8_t *out, uint32_t room);
} p4_program;

/* The one symbol a program exports. */
#define P4_PROGRAM_SYMBOL "p4jit_program"

/* Called by generated code, defined in device.c.
 *
 * A log_msg call or a failed assertion. `values` holds two words an argument, a 128-bit two's complement
 * number, which bit i of `signs` says to read as signed. */
void p4_log(p4_context *, uint32_t message, uint32_t count, const uint64_t *values, uint32_t signs);

#endif
