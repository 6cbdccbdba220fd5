/* SPDX-License-Identifier: Apache-2.0
 *
 * A port on a Linux interface through AF_XDP (kernel documentation, af_xdp): a program of five
 * instructions sends every frame to a socket before the kernel's network stack sees it. The kernel's own
 * interface is used directly; there is no library to depend on.
 *
 * A frame is seen as its sender's kernel hands it over: a checksum left unfinished is guessed at, a VLAN tag
 * kept apart from the frame cannot be seen (a tag in the frame stays).
 *
 * One queue, copy mode: virtual interfaces offer no other. Attached to the interface's own receive path
 * (native), or else to the generic one. The program goes when its link's descriptor is closed, also by a
 * crash.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "offload.h"
#include "port_driver.h"

#define FRAMES 1024u   /* each way; a power of two, the size of every ring */
#define TAG_BYTES 4u
#define KICKS 64       /* calls that one burst may take: each sends at least a few frames */

/* A ring shared with the kernel: one side produces, the other consumes. */
typedef struct ring {
  uint32_t *producer, *consumer;
  void *entries;
  void *map;
  size_t map_bytes;
  uint32_t local; /* our side's position */
} ring;

typedef struct xdp_port {
  int socket, map, program, link;
  uint8_t *memory; /* FRAMES chunks to receive into, then FRAMES to send from */
  size_t memory_bytes;
  uint32_t chunk_bytes;
  uint32_t largest;  /* longest frame a chunk holds */
  uint32_t sending;  /* frames given to the kernel and not yet returned */
  bool unsent;       /* it has not looked at all of them: nothing but another call makes it */
  ring fill, receive, transmit, complete;
  uint64_t overruns; /* the kernel's count when last read */
} xdp_port;

static int bpf(int command, union bpf_attr *attr) {
  return (int)syscall(SYS_bpf, command, attr, sizeof *attr);
}

/* ---- frames --------------------------------------------------------------------------------------- */

/* Chunks come back in the order they were sent, so that it is enough to count them. */
static void reclaim(xdp_port *state) {
  uint32_t done = __atomic_load_n(state->complete.producer, __ATOMIC_ACQUIRE) - state->complete.local;
  state->complete.local += done;
  state->sending -= done;
  __atomic_store_n(state->complete.consumer, state->complete.local, __ATOMIC_RELEASE);
}

/* Let the kernel send what is in the ring. */
static void kick(p4_port *port) {
  xdp_port *state = port->state;
  state->unsent = true;
  for (int i = 0; i < KICKS && state->unsent; i++) {
    if (sendto(state->socket, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN && errno != EINTR) {
      if (errno != ENOBUFS) p4_port_refused(port, errno);
      break;
    }
    state->unsent = __atomic_load_n(state->transmit.consumer, __ATOMIC_ACQUIRE) != state->transmit.local;
  }
}

static bool xdp_pending(const p4_port *port) { return port->up && ((const xdp_port *)port->state)->unsent; }

static int xdp_receive(p4_port *port, p4_pool *pool, p4_packet **out, int max, uint64_t now) {
  xdp_port *state = port->state;
  const struct xdp_desc *descriptors = state->receive.entries;
  uint64_t *fill = state->fill.entries;
  if (P4_UNLIKELY(state->unsent && port->up)) kick(port);
  uint32_t ready = __atomic_load_n(state->receive.producer, __ATOMIC_ACQUIRE) - state->receive.local;
  int n = 0;
  for (; ready > 0 && n < max; ready--) {
    const struct xdp_desc *descriptor = &descriptors[state->receive.local++ & (FRAMES - 1)];
    uint32_t length = descriptor->len;
    uint64_t address = descriptor->addr;
    p4_packet *packet = p4_pool_get(pool);
    if (P4_UNLIKELY(packet == NULL)) {
      port->stats.rx_no_packet++;
    } else if (P4_UNLIKELY(length < ETH_HLEN)) {
      port->stats.rx_short++;
      p4_pool_put(pool, packet);
    } else {
      memcpy(packet->data, state->memory + address, length);
      packet->length = length;
      p4_guess_checksum(packet->data, length);
      packet->ingress_port = port->number;
      packet->arrival = now;
      port->stats.rx_packets++;
      port->stats.rx_bytes += length;
      out[n++] = packet;
    }
    /* There are as many chunks as entries: it fits. */
    fill[state->fill.local++ & (FRAMES - 1)] = address & ~(uint64_t)(state->chunk_bytes - 1);
  }
  __atomic_store_n(state->receive.consumer, state->receive.local, __ATOMIC_RELEASE);
  __atomic_store_n(state->fill.producer, state->fill.local, __ATOMIC_RELEASE);
  return n;
}

/* The interface itself does not look. As packet(7) has it: a tag does not count. */
static uint32_t largest_allowed(const p4_port *port, const p4_packet *packet) {
  bool tagged = packet->length > ETH_HLEN && packet->data[12] == ETH_P_8021Q >> 8 &&
                packet->data[13] == (ETH_P_8021Q & 0xff);
  return port->mtu + ETH_HLEN + (tagged ? TAG_BYTES : 0);
}

static int xdp_send(p4_port *port, p4_packet *const *batch, int n, uint64_t now) {
  (void)now;
  xdp_port *state = port->state;
  struct xdp_desc *descriptors = state->transmit.entries;
  if (P4_UNLIKELY(!port->up)) {
    port->stats.tx_down += (uint64_t)n;
    return n;
  }
  reclaim(state);
  int taken = 0;
  for (; taken < n && state->sending < FRAMES; taken++) {
    const p4_packet *packet = batch[taken];
    if (P4_UNLIKELY(packet->length > largest_allowed(port, packet) || packet->length > state->largest)) {
      port->stats.tx_oversize++;
      continue;
    }
    uint32_t at = state->transmit.local++ & (FRAMES - 1);
    uint64_t address = (uint64_t)(FRAMES + at) * state->chunk_bytes;
    memcpy(state->memory + address, packet->data, packet->length);
    descriptors[at] = (struct xdp_desc){.addr = address, .len = packet->length};
    state->sending++;
    port->stats.tx_packets++;
    port->stats.tx_bytes += packet->length;
  }
  __atomic_store_n(state->transmit.producer, state->transmit.local, __ATOMIC_RELEASE);
  kick(port);
  return taken;
}

static int xdp_fd(const p4_port *port) { return ((const xdp_port *)port->state)->socket; }

static void xdp_statistics(p4_port *port) {
  xdp_port *state = port->state;
  struct xdp_statistics kernel; /* since the socket was made */
  socklen_t size = sizeof kernel;
  if (getsockopt(state->socket, SOL_XDP, XDP_STATISTICS, &kernel, &size) < 0) return;
  uint64_t overruns = kernel.rx_dropped + kernel.rx_ring_full + kernel.rx_fill_ring_empty_descs;
  port->stats.rx_overrun += overruns - state->overruns;
  state->overruns = overruns;
}

/* ---- opening -------------------------------------------------------------------------------------- */

static void close_fd(int fd) {
  if (fd >= 0) close(fd);
}

static void unmap(const ring *ring) {
  if (ring->map != NULL) munmap(ring->map, ring->map_bytes);
}

static void xdp_close(p4_port *port) {
  xdp_port *state = port->state;
  if (state == NULL) return;
  close_fd(state->link);
  close_fd(state->program);
  close_fd(state->map);
  unmap(&state->fill);
  unmap(&state->complete);
  unmap(&state->receive);
  unmap(&state->transmit);
  close_fd(state->socket);
  if (state->memory != NULL) munmap(state->memory, state->memory_bytes);
  free(state);
  port->state = NULL;
  port->driver = NULL;
}

static const p4_port_driver driver = {
    .fd = xdp_fd,
    .pending = xdp_pending,
    .receive = xdp_receive,
    .send = xdp_send,
    .statistics = xdp_statistics,
    .close = xdp_close,
};

/* 0: the interface does not tell. */
static uint32_t receive_queues(const p4_port *port) {
  struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
  struct ifreq request = {.ifr_data = (char *)&channels};
  memcpy(request.ifr_name, port->name, sizeof request.ifr_name - 1);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  bool told = ioctl(fd, SIOCETHTOOL, &request) == 0;
  close(fd);
  return told ? channels.rx_count + channels.combined_count : 0;
}

static int choose_chunk(const p4_port *port, xdp_port *state, const char **what) {
  uint32_t frame = port->mtu + ETH_HLEN + 2 * TAG_BYTES;
  for (state->chunk_bytes = 2048; state->chunk_bytes <= 4096; state->chunk_bytes *= 2) {
    state->largest = state->chunk_bytes - XDP_PACKET_HEADROOM;
    if (frame <= state->largest) break;
  }
  if (state->chunk_bytes > 4096) {
    *what = "its MTU is too large for AF_XDP's chunks";
    return -EMSGSIZE;
  }
  if (receive_queues(port) > 1) {
    *what = "it has several receive queues (`ethtool -L IFACE combined 1`)";
    return -EOPNOTSUPP;
  }
  return 0;
}

static int map_one(const xdp_port *state, ring *ring, const struct xdp_ring_offset *offset, size_t entry_bytes,
                   off_t page) {
  size_t bytes = offset->desc + FRAMES * entry_bytes;
  void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, state->socket, page);
  if (map == MAP_FAILED) return -errno;
  ring->map = map;
  ring->map_bytes = bytes;
  ring->producer = (uint32_t *)((uint8_t *)map + offset->producer);
  ring->consumer = (uint32_t *)((uint8_t *)map + offset->consumer);
  ring->entries = (uint8_t *)map + offset->desc;
  return 0;
}

static int make_socket(xdp_port *state, const char **what) {
  *what = "an AF_XDP socket";
  state->socket = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (state->socket < 0) return -errno;
  *what = "memory for frames";
  state->memory_bytes = 2ul * FRAMES * state->chunk_bytes;
  void *memory =
      mmap(NULL, state->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  state->memory = memory;
  struct xdp_umem_reg registration = {
      .addr = (uint64_t)(uintptr_t)memory, .len = state->memory_bytes, .chunk_size = state->chunk_bytes};
  if (setsockopt(state->socket, SOL_XDP, XDP_UMEM_REG, &registration, sizeof registration) < 0) return -errno;
  *what = "its rings";
  static const int sizes[] = {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING};
  const uint32_t entries = FRAMES;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (setsockopt(state->socket, SOL_XDP, sizes[i], &entries, sizeof entries) < 0) return -errno;
  struct xdp_mmap_offsets offsets;
  socklen_t size = sizeof offsets;
  if (getsockopt(state->socket, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) < 0) return -errno;
  int result = map_one(state, &state->fill, &offsets.fr, sizeof(uint64_t), (off_t)XDP_UMEM_PGOFF_FILL_RING);
  if (result == 0)
    result =
        map_one(state, &state->complete, &offsets.cr, sizeof(uint64_t), (off_t)XDP_UMEM_PGOFF_COMPLETION_RING);
  if (result == 0)
    result = map_one(state, &state->receive, &offsets.rx, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
  if (result == 0)
    result = map_one(state, &state->transmit, &offsets.tx, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING);
  if (result < 0) return result;
  uint64_t *fill = state->fill.entries;
  for (uint32_t i = 0; i < FRAMES; i++) fill[i] = (uint64_t)i * state->chunk_bytes;
  state->fill.local = FRAMES;
  __atomic_store_n(state->fill.producer, FRAMES, __ATOMIC_RELEASE);
  return 0;
}

/* return bpf_redirect_map(&map, 0, XDP_PASS) */
static int load_program(xdp_port *state, const char **what) {
  *what = "a BPF map (needs CAP_BPF in the initial user namespace)";
  union bpf_attr attr = {
      .map_type = BPF_MAP_TYPE_XSKMAP, .key_size = sizeof(uint32_t), .value_size = sizeof(int), .max_entries = 1};
  state->map = bpf(BPF_MAP_CREATE, &attr);
  if (state->map < 0) return -errno;
  const struct bpf_insn code[] = {
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = state->map},
      {0}, /* second half of the map's address */
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
      {.code = BPF_JMP | BPF_EXIT},
  };
  memset(&attr, 0, sizeof attr);
  attr.prog_type = BPF_PROG_TYPE_XDP;
  attr.insn_cnt = sizeof code / sizeof *code;
  attr.insns = (uint64_t)(uintptr_t)code;
  attr.license = (uint64_t)(uintptr_t) "Apache-2.0";
  *what = "an XDP program (needs CAP_BPF and CAP_NET_ADMIN)";
  state->program = bpf(BPF_PROG_LOAD, &attr);
  return state->program < 0 ? -errno : 0;
}

/* The generic path serves interfaces without one of their own. */
static int attach(const p4_port *port, xdp_port *state, const char **what) {
  *what = "attaching the XDP program";
  int result = -EOPNOTSUPP;
  static const uint32_t modes[] = {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
  for (size_t i = 0; i < sizeof modes / sizeof *modes && state->link < 0; i++) {
    union bpf_attr attr = {0};
    attr.link_create.prog_fd = (uint32_t)state->program;
    attr.link_create.target_ifindex = (uint32_t)port->ifindex;
    attr.link_create.attach_type = BPF_XDP;
    attr.link_create.flags = modes[i];
    state->link = bpf(BPF_LINK_CREATE, &attr);
    if (state->link < 0) result = -errno;
  }
  return state->link < 0 ? result : 0;
}

static int bind_socket(const p4_port *port, xdp_port *state, const char **what) {
  *what = "binding the socket";
  struct sockaddr_xdp address = {
      .sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_ifindex = (uint32_t)port->ifindex};
  if (bind(state->socket, (struct sockaddr *)&address, sizeof address) < 0) return -errno;
  const uint32_t key = 0;
  union bpf_attr attr = {0};
  attr.map_fd = (uint32_t)state->map;
  attr.key = (uint64_t)(uintptr_t)&key;
  attr.value = (uint64_t)(uintptr_t)&state->socket;
  return bpf(BPF_MAP_UPDATE_ELEM, &attr) < 0 ? -errno : 0;
}

int p4_port_xdp_open(p4_port *port, char *error, size_t error_bytes) {
  xdp_port *state = calloc(1, sizeof *state);
  if (state == NULL) {
    snprintf(error, error_bytes, "port %u, interface %s: out of memory", port->number, port->name);
    return -ENOMEM;
  }
  state->socket = state->map = state->program = state->link = -1;
  port->state = state;
  const char *what;
  int result = choose_chunk(port, state, &what);
  if (result == 0) result = make_socket(state, &what);
  if (result == 0) result = load_program(state, &what);
  if (result == 0) result = bind_socket(port, state, &what);
  if (result == 0) result = attach(port, state, &what);
  if (result == 0) {
    port->driver = &driver;
    return 0;
  }
  snprintf(error, error_bytes, "port %u, interface %s: no AF_XDP: %s: %s", port->number, port->name, what,
           strerror(-result));
  xdp_close(port);
  return result;
}
