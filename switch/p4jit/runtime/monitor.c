/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (32u << 10) /* the kernel fills at most this much of a dump at a time */
#define ROUNDS 64                /* buffers read before the worker gets back to its packets */

static int request_all(p4_monitor *monitor) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg link;
  } request = {
      .header = {.nlmsg_len = sizeof request,
                 .nlmsg_type = RTM_GETLINK,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
      .link = {.ifi_family = AF_UNSPEC},
  };
  if (send(monitor->fd, &request, sizeof request, 0) != (ssize_t)sizeof request) return -errno;
  monitor->asked = true;
  monitor->again = false;
  return 0;
}

int p4_monitor_open(p4_monitor *monitor, char *error, size_t error_bytes) {
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
  *monitor = (p4_monitor){.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)};
  int result = monitor->fd < 0 ? -errno : 0;
  if (result == 0 && bind(monitor->fd, (struct sockaddr *)&address, sizeof address) < 0) result = -errno;
  if (result == 0) result = request_all(monitor);
  if (result == 0) return 0;
  p4_monitor_close(monitor);
  snprintf(error, error_bytes, "cannot watch the network interfaces (rtnetlink): %s", strerror(-result));
  return result;
}

void p4_monitor_close(p4_monitor *monitor) {
  if (monitor->fd >= 0) close(monitor->fd);
  *monitor = (p4_monitor){.fd = -1};
}

static void mark(int which, p4_monitor_function function, void *owner) {
  function(owner, &(p4_link_state){.ifindex = which, .name = ""});
}

static int report(const struct nlmsghdr *header, p4_monitor_function function, void *owner) {
  if (header->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg))) return -EPROTO;
  const struct ifinfomsg *link = NLMSG_DATA(header);
  /* Bridges and IPv6 send messages of their own about the same interface. */
  if (link->ifi_family != AF_UNSPEC) return 0;
  char name[IFNAMSIZ] = "";
  uint32_t mtu = 0;
  int left = (int)IFLA_PAYLOAD(header);
  for (const struct rtattr *a = IFLA_RTA(link); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
    if (a->rta_type == IFLA_MTU && RTA_PAYLOAD(a) == sizeof mtu) memcpy(&mtu, RTA_DATA(a), sizeof mtu);
    if (a->rta_type != IFLA_IFNAME) continue;
    size_t length = RTA_PAYLOAD(a) < sizeof name ? RTA_PAYLOAD(a) : sizeof name - 1;
    memcpy(name, RTA_DATA(a), length);
    name[length] = '\0';
  }
  bool present = header->nlmsg_type == RTM_NEWLINK;
  p4_link_state state = {
      .ifindex = link->ifi_index,
      .name = name,
      .present = present,
      .up = present && (link->ifi_flags & IFF_UP) && (link->ifi_flags & IFF_LOWER_UP),
      .mtu = present ? mtu : 0,
  };
  function(owner, &state);
  return 0;
}

static int take(p4_monitor *monitor, const struct nlmsghdr *header, p4_monitor_function function, void *owner) {
  switch (header->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      if (header->nlmsg_flags & NLM_F_DUMP_INTR) monitor->again = true; /* it changed while we were told */
      return report(header, function, owner);
    case NLMSG_DONE:
      monitor->asked = false;
      if (!monitor->again) mark(P4_LINK_LAST, function, owner);
      return 0;
    case NLMSG_ERROR:
      if (header->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))) return -EPROTO;
      return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
    default:
      return 0;
  }
}

int p4_monitor_read(p4_monitor *monitor, p4_monitor_function function, void *owner) {
  _Alignas(struct nlmsghdr) uint8_t buffer[BUFFER_BYTES];
  for (int round = 0; round < ROUNDS; round++) {
    ssize_t bytes = recv(monitor->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    int result = 0;
    if (bytes >= 0) {
      int left = (int)bytes;
      for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; result == 0 && NLMSG_OK(h, left);
           h = NLMSG_NEXT(h, left))
        result = take(monitor, h, function, owner);
    } else if (errno == ENOBUFS) {
      monitor->again = true;
    } else if (errno == EAGAIN) {
      /* Only now: with its queue full, or an answer unfinished, the socket would refuse. */
      if (!monitor->again || monitor->asked) return 0;
      mark(P4_LINK_FIRST, function, owner);
      result = request_all(monitor);
    } else if (errno != EINTR) {
      result = -errno;
    }
    if (result < 0) return result;
  }
  return 0;
}
