/* SPDX-License-Identifier: Apache-2.0
 *
 * A port on a Linux interface through AF_PACKET (packet(7); kernel documentation, packet_mmap).
 *
 * Frames come in by a TPACKET_V2 ring, which a busy worker reads without system calls, and go out by
 * sendmmsg. Measured on veth: the ring forwards 1.4 times what recvmmsg does; a transmit ring is slower than
 * sendmmsg; TPACKET_V3 hands over blocks and so holds a lone frame back. Slots hold an ordinary frame. The
 * kernel queues the longer ones on the socket as well (PACKET_COPY_THRESH), so that jumbo frames cost no
 * ring memory.
 *
 * Frames of a sender on this machine have not been through hardware: the tag of a VLAN may be apart from
 * the frame, the checksum unfinished, one frame stand for many. PACKET_VNET_HDR tells what is missing and it
 * is put right, since a switch on a wire would see none of it.
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "offload.h"
#include "port_driver.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* headers before Linux 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define SLOT_BYTES 2048u
#define SLOTS 1024u     /* 2 MB a port: what libpcap gives bmv2 */
#define FEWEST_SLOTS 64u
#define BLOCK_BYTES (16u * SLOT_BYTES)
#define TAG_BYTES 4u    /* of a VLAN, after the addresses */
#define ADDRESS_BYTES 12u
#define LARGE_BYTES (66u << 10) /* 64 KB of IP and what is around it */

/* What the kernel says about a frame beside its bytes. */
typedef struct frame_note {
  uint32_t status; /* TP_STATUS_* */
  uint16_t tag;
  uint16_t tag_protocol;
  struct virtio_net_hdr offload;
} frame_note;

/* A frame being cut into segments. */
typedef struct large_frame {
  p4_segments segments;
  frame_note note;
  bool active;
  uint8_t bytes[LARGE_BYTES];
} large_frame;

typedef struct packet_port {
  int receiver;
  int sender; /* apart: frames it sends carry no virtio_net_hdr */
  uint8_t *ring;
  uint32_t slots;
  uint32_t head;
  large_frame *large; /* NULL until there is one */
  struct iovec parts[P4_PORT_BURST];
  struct mmsghdr messages[P4_PORT_BURST];
} packet_port;

static struct tpacket2_hdr *slot(const packet_port *state) {
  return (struct tpacket2_hdr *)(state->ring + (size_t)state->head * SLOT_BYTES);
}

/* Put the tag back in front, where there is room for it. */
static void add_tag(p4_packet *packet, const frame_note *note) {
  if (!(note->status & TP_STATUS_VLAN_VALID)) return;
  uint16_t protocol = note->status & TP_STATUS_VLAN_TPID_VALID ? note->tag_protocol : ETH_P_8021Q;
  const uint16_t tag[2] = {htons(protocol), htons(note->tag)};
  packet->data -= TAG_BYTES;
  packet->length += TAG_BYTES;
  memmove(packet->data, packet->data + TAG_BYTES, ADDRESS_BYTES);
  memcpy(packet->data + ADDRESS_BYTES, tag, sizeof tag);
}

/* Fetch a frame the kernel queued because its slot was too small; fills in the note. Returns its length, or 0
 * when it is lost, and counted. */
static uint32_t fetch_long(p4_port *port, uint8_t *to, uint32_t room, frame_note *note) {
  packet_port *state = port->state;
  union {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
  } control;
  struct iovec parts[2] = {{&note->offload, sizeof note->offload}, {to, room}};
  struct msghdr message = {
      .msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t bytes = recvmsg(state->receiver, &message, MSG_DONTWAIT | MSG_TRUNC);
  if (bytes < (ssize_t)sizeof note->offload) {
    port->stats.rx_overrun++;
    return 0;
  }
  if (message.msg_flags & MSG_TRUNC) {
    port->stats.rx_oversize++;
    return 0;
  }
  const struct cmsghdr *c = CMSG_FIRSTHDR(&message);
  if (c != NULL && c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
    struct tpacket_auxdata aux;
    memcpy(&aux, CMSG_DATA(c), sizeof aux);
    note->status = aux.tp_status;
    note->tag = aux.tp_vlan_tci;
    note->tag_protocol = aux.tp_vlan_tpid;
  }
  return (uint32_t)bytes - (uint32_t)sizeof note->offload;
}

/* Copy the frame of this slot, which may be queued instead. Returns its length, or 0 when it is lost, and
 * counted. */
static uint32_t fetch(p4_port *port, const struct tpacket2_hdr *slot, uint8_t *to, uint32_t room,
                      frame_note *note) {
  if (note->status & TP_STATUS_COPY) return fetch_long(port, to, room, note);
  if (slot->tp_snaplen < slot->tp_len) {
    port->stats.rx_overrun++; /* no room to queue it */
    return 0;
  }
  memcpy(to, (const uint8_t *)slot + slot->tp_mac, slot->tp_snaplen);
  return slot->tp_snaplen;
}

/* Make the frame of this slot the one that is cut next. */
static void begin_large(p4_port *port, const struct tpacket2_hdr *slot, const frame_note *note) {
  packet_port *state = port->state;
  if (state->large == NULL) state->large = malloc(sizeof *state->large);
  large_frame *large = state->large;
  if (large == NULL) {
    if (note->status & TP_STATUS_COPY) (void)recv(state->receiver, NULL, 0, MSG_DONTWAIT | MSG_TRUNC);
    port->stats.rx_no_packet++;
    return;
  }
  large->note = *note;
  uint32_t length = fetch(port, slot, large->bytes, sizeof large->bytes, &large->note);
  if (length == 0) return;
  const struct virtio_net_hdr *offload = &large->note.offload;
  uint8_t kind = offload->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
  bool tcp = kind == VIRTIO_NET_HDR_GSO_TCPV4 || kind == VIRTIO_NET_HDR_GSO_TCPV6;
  large->active = (tcp || kind == VIRTIO_NET_HDR_GSO_UDP_L4) &&
                  p4_segments_begin(&large->segments, large->bytes, length, offload->csum_start,
                                    offload->gso_size, tcp, P4_FRAME_BYTES - TAG_BYTES);
  if (!large->active) port->stats.rx_oversize++;
}

/* False when the large frame is used up. */
static bool cut(packet_port *state, p4_packet *packet) {
  large_frame *large = state->large;
  packet->length = p4_segments_next(&large->segments, large->bytes, packet->data);
  large->active = packet->length != 0;
  if (large->active) add_tag(packet, &large->note);
  return large->active;
}

/* Take the frame of the next slot, which gets free. False when none comes of it: lost, and counted, or large. */
static bool take(p4_port *port, struct tpacket2_hdr *slot, uint32_t status, p4_packet *packet) {
  frame_note note = {.status = status, .tag = slot->tp_vlan_tci, .tag_protocol = slot->tp_vlan_tpid};
  memcpy(&note.offload, (const uint8_t *)slot + slot->tp_mac - sizeof note.offload, sizeof note.offload);
  packet->length = 0;
  if (P4_UNLIKELY(note.offload.gso_type != VIRTIO_NET_HDR_GSO_NONE)) {
    begin_large(port, slot, &note);
    return false;
  }
  packet->length = fetch(port, slot, packet->data, P4_FRAME_BYTES, &note);
  if (packet->length == 0) return false;
  if (packet->length > P4_FRAME_BYTES - TAG_BYTES && (note.status & TP_STATUS_VLAN_VALID)) {
    port->stats.rx_oversize++;
    return false;
  }
  if (packet->length < ETH_HLEN) {
    port->stats.rx_short++;
    return false;
  }
  if (note.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
    p4_complete_checksum(packet->data, packet->length, note.offload.csum_start, note.offload.csum_offset);
  add_tag(packet, &note);
  return true;
}

/* An interface that went down left an error on the sockets that would keep them readable. */
static void clear_error(const packet_port *state) {
  int error;
  socklen_t size = sizeof error;
  (void)getsockopt(state->receiver, SOL_SOCKET, SO_ERROR, &error, &size);
  (void)getsockopt(state->sender, SOL_SOCKET, SO_ERROR, &error, &size);
}

static bool packet_pending(const p4_port *port) {
  const packet_port *state = port->state;
  return state->large != NULL && state->large->active;
}

static int packet_receive(p4_port *port, p4_pool *pool, p4_packet **out, int max, uint64_t now) {
  packet_port *state = port->state;
  int n = 0;
  if (P4_UNLIKELY(!port->up)) clear_error(state);
  for (uint32_t looked = 0; n < max && looked < state->slots;) {
    bool cutting = packet_pending(port);
    struct tpacket2_hdr *here = slot(state);
    uint32_t status = 0;
    if (P4_LIKELY(!cutting)) {
      status = __atomic_load_n(&here->tp_status, __ATOMIC_ACQUIRE);
      if (!(status & TP_STATUS_USER)) break;
    }
    p4_packet *packet = p4_pool_get(pool);
    bool taken = false;
    if (P4_LIKELY(packet != NULL)) {
      /* A tag put back goes before the data, so that the frame's bytes are written once. */
      packet->data += TAG_BYTES;
      taken = cutting ? cut(state, packet) : take(port, here, status, packet);
    } else {
      port->stats.rx_no_packet++;
      if (cutting) state->large->active = false;
      if (status & TP_STATUS_COPY) (void)recv(state->receiver, NULL, 0, MSG_DONTWAIT | MSG_TRUNC);
    }
    if (P4_LIKELY(!cutting)) {
      __atomic_store_n(&here->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
      if (++state->head == state->slots) state->head = 0;
      __builtin_prefetch(slot(state));
      looked++;
    }
    if (P4_UNLIKELY(!taken)) {
      if (packet != NULL) p4_pool_put(pool, packet);
      continue;
    }
    packet->ingress_port = port->number;
    packet->arrival = now;
    port->stats.rx_packets++;
    port->stats.rx_bytes += packet->length;
    out[n++] = packet;
  }
  return n;
}

static int packet_send(p4_port *port, p4_packet *const *batch, int n, uint64_t now) {
  (void)now;
  packet_port *state = port->state;
  int taken = 0;
  while (taken < n) {
    int burst = n - taken < P4_PORT_BURST ? n - taken : P4_PORT_BURST;
    for (int i = 0; i < burst; i++)
      state->parts[i] = (struct iovec){batch[taken + i]->data, batch[taken + i]->length};
    int sent = sendmmsg(state->sender, state->messages, (unsigned)burst, MSG_DONTWAIT);
    if (sent > 0) {
      for (int i = 0; i < sent; i++) port->stats.tx_bytes += batch[taken + i]->length;
      port->stats.tx_packets += (uint64_t)sent;
      taken += sent;
    } else if (errno == EAGAIN || errno == ENOBUFS) {
      break;
    } else if (errno != EINTR) {
      p4_port_refused(port, errno);
      taken++;
    }
  }
  return taken;
}

static int packet_fd(const p4_port *port) { return ((const packet_port *)port->state)->receiver; }

static void packet_statistics(p4_port *port) {
  struct tpacket_stats kernel; /* since the last reading */
  socklen_t size = sizeof kernel;
  const packet_port *state = port->state;
  if (getsockopt(state->receiver, SOL_PACKET, PACKET_STATISTICS, &kernel, &size) == 0)
    port->stats.rx_overrun += kernel.tp_drops;
}

static void packet_close(p4_port *port) {
  packet_port *state = port->state;
  if (state == NULL) return;
  if (state->ring != NULL) munmap(state->ring, (size_t)state->slots * SLOT_BYTES);
  if (state->receiver >= 0) close(state->receiver);
  if (state->sender >= 0) close(state->sender);
  free(state->large);
  free(state);
  port->state = NULL;
  port->driver = NULL;
}

static const p4_port_driver driver = {
    .fd = packet_fd,
    .pending = packet_pending,
    .receive = packet_receive,
    .send = packet_send,
    .statistics = packet_statistics,
    .close = packet_close,
};

static int option(int fd, int name, int value) {
  return setsockopt(fd, SOL_PACKET, name, &value, sizeof value) < 0 ? -errno : 0;
}

static int bind_to(int fd, int ifindex, uint16_t protocol) {
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = ifindex};
  return bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
}

/* As large as memory allows. */
static int map_ring(packet_port *state) {
  int result = -ENOMEM;
  for (uint32_t slots = SLOTS; slots >= FEWEST_SLOTS; slots /= 2) {
    struct tpacket_req request = {.tp_block_size = BLOCK_BYTES,
                                  .tp_block_nr = slots / (BLOCK_BYTES / SLOT_BYTES),
                                  .tp_frame_size = SLOT_BYTES,
                                  .tp_frame_nr = slots};
    if (setsockopt(state->receiver, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) == 0) {
      void *ring = mmap(NULL, (size_t)slots * SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                        state->receiver, 0);
      if (ring == MAP_FAILED) return -errno;
      state->ring = ring;
      state->slots = slots;
      return 0;
    }
    result = -errno;
    if (result != -ENOMEM) break;
  }
  return result;
}

int p4_port_packet_open(p4_port *port, char *error, size_t error_bytes) {
  packet_port *state = calloc(1, sizeof *state);
  if (state == NULL) {
    snprintf(error, error_bytes, "port %u, interface %s: out of memory", port->number, port->name);
    return -ENOMEM;
  }
  port->state = state;
  for (int i = 0; i < P4_PORT_BURST; i++)
    state->messages[i].msg_hdr = (struct msghdr){.msg_iov = &state->parts[i], .msg_iovlen = 1};

  /* Protocol 0 takes nothing in before the socket is bound to its interface. */
  state->receiver = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int result = state->receiver < 0 ? -errno : 0;
  state->sender = result == 0 ? socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
  if (result == 0 && state->sender < 0) result = -errno;
  struct packet_mreq promiscuous = {.mr_ifindex = port->ifindex, .mr_type = PACKET_MR_PROMISC};
  /* For jumbo frames. Going beyond the system's bound needs privilege in the initial user namespace. */
  int room = 4 << 20;
  if (result == 0) {
    if (setsockopt(state->receiver, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
      (void)setsockopt(state->receiver, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    result = option(state->receiver, PACKET_VERSION, TPACKET_V2);
  }
  if (result == 0) result = option(state->receiver, PACKET_IGNORE_OUTGOING, 1);
  if (result == 0) result = option(state->receiver, PACKET_AUXDATA, 1);
  if (result == 0) result = option(state->receiver, PACKET_VNET_HDR, 1);
  if (result == 0) result = option(state->receiver, PACKET_COPY_THRESH, 1);
  if (result == 0) result = map_ring(state);
  if (result == 0) result = option(state->sender, PACKET_QDISC_BYPASS, 1);
  if (result == 0 &&
      setsockopt(state->receiver, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) < 0)
    result = -errno;
  if (result == 0) result = bind_to(state->sender, port->ifindex, 0);
  if (result == 0) result = bind_to(state->receiver, port->ifindex, ETH_P_ALL);
  if (result == 0) {
    port->driver = &driver;
    return 0;
  }
  snprintf(error, error_bytes, "port %u, interface %s: cannot open a packet socket: %s%s", port->number,
           port->name, strerror(-result),
           result == -EPERM ? " (needs CAP_NET_RAW: run as root, or in a user namespace of your own)" : "");
  packet_close(port);
  return result;
}
