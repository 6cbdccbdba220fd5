/* SPDX-License-Identifier: Apache-2.0
 *
 * The limit a software switch on AF_PACKET is held against: frames of one interface go out of the other,
 * unread, both ways, with one batched receive and one batched send.
 *
 *   forwarder IFACE IFACE
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BURST 64
#define FRAME_BYTES 2048

static int open_interface(const char *name) {
  int one = 1, room = 8 << 20, fd = socket(AF_PACKET, SOCK_RAW, 0);
  struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                .sll_protocol = htons(ETH_P_ALL),
                                .sll_ifindex = (int)if_nametoindex(name)};
  struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
  if (fd < 0 || address.sll_ifindex == 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) < 0 ||
      bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    perror(name);
    exit(1);
  }
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  return fd;
}

/* Returns the frames received. */
static int forward(int from, int to) {
  static uint8_t frames[BURST][FRAME_BYTES];
  static struct iovec parts[BURST];
  static struct mmsghdr messages[BURST];
  for (int i = 0; i < BURST; i++) {
    parts[i] = (struct iovec){frames[i], FRAME_BYTES};
    messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
  }
  int count = recvmmsg(from, messages, BURST, MSG_DONTWAIT, NULL);
  for (int i = 0; i < count; i++) parts[i].iov_len = messages[i].msg_len;
  for (int sent = 0; sent < count;) {
    int n = sendmmsg(to, messages + sent, (unsigned)(count - sent), MSG_DONTWAIT);
    sent += n > 0 ? n : 1; /* a frame the interface refuses is lost */
  }
  return count;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s IFACE IFACE\n", argv[0]);
    return 2;
  }
  struct pollfd ports[2] = {{open_interface(argv[1]), POLLIN, 0}, {open_interface(argv[2]), POLLIN, 0}};
  puts("ready");
  fflush(stdout);
  for (;;) {
    int there = forward(ports[0].fd, ports[1].fd), back = forward(ports[1].fd, ports[0].fd);
    if (there <= 0 && back <= 0) poll(ports, 2, -1);
  }
}
