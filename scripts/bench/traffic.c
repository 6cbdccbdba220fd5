/* SPDX-License-Identifier: Apache-2.0
 *
 * Offers frames to one interface at a rate, takes them back from another, and prints one JSON object with
 * what arrived and how long it took.
 *
 *   traffic OUT IN RATE SECONDS CPUS FRAME [FRAME...]
 *
 * RATE in frames/s. CPUS: as in 1, where one thread sends and receives, or 1,2,3, where the first receives and
 * the others send a share each. They never sleep, so that they add no latency of their own. Each FRAME is hex, at least 64 bytes, sent in turn;
 * its last 24 bytes are overwritten with a mark, a sequence number and the time sent, found again at the end
 * of what arrives. UDP checksums should thus be zero. The first tenth of a second warms caches up and is not
 * counted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#define BURST 32
#define MAX_FRAME 2048
#define MAX_SENDERS 64
#define RING_FRAMES 4096u
#define SLOT_BYTES 2048u
#define SECOND 1000000000u
#define WARM_UP (SECOND / 10)
#define DRAIN (SECOND / 10)

typedef struct trailer {
  uint64_t mark, sequence, sent;
} trailer;

typedef struct templates {
  unsigned count;
  size_t *lengths;
  uint8_t (*frames)[MAX_FRAME];
} templates;

typedef struct sender {
  const templates *templates;
  int socket, cpu;
  unsigned turn; /* template to send next */
  double rate;
  uint64_t mark, start, end;
  uint64_t sequence; /* the sender's number is in the top byte */
  uint64_t counted, refused;
  double credit;
  uint64_t last;
  struct iovec parts[BURST];
  struct mmsghdr messages[BURST];
  uint8_t burst[BURST][MAX_FRAME];
} sender;

typedef struct tally {
  uint64_t received, reordered, next[256];
  uint64_t latency_sum, latency_max, latency_min;
  /* 64 linear steps for each power of two: under 2 % error. */
  uint64_t histogram[64][64];
} tally;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int open_interface(const char *name, int protocol) {
  int one = 1, fd = socket(AF_PACKET, SOCK_RAW, 0);
  struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                .sll_protocol = htons((uint16_t)protocol),
                                .sll_ifindex = (int)if_nametoindex(name)};
  struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
  if (fd < 0 || address.sll_ifindex == 0) fail(name);
  if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) < 0)
    fail(name);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail(name);
  return fd;
}

/* A receive ring is read without system calls, so that receiving costs the sender next to nothing. */
static uint8_t *map_ring(int fd) {
  int version = TPACKET_V2;
  struct tpacket_req request = {.tp_block_size = 64 * SLOT_BYTES,
                                .tp_block_nr = RING_FRAMES / 64,
                                .tp_frame_size = SLOT_BYTES,
                                .tp_frame_nr = RING_FRAMES};
  if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0)
    fail("receive ring");
  void *ring = mmap(NULL, (size_t)RING_FRAMES * SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (ring == MAP_FAILED) fail("receive ring");
  return ring;
}

static void record(tally *tally, uint64_t latency) {
  unsigned exponent = latency < 64 ? 0 : 63u - (unsigned)__builtin_clzll(latency) - 5;
  tally->histogram[exponent][(latency >> exponent) & 63]++;
  tally->latency_sum += latency;
  if (latency > tally->latency_max) tally->latency_max = latency;
  if (tally->received == 0 || latency < tally->latency_min) tally->latency_min = latency;
}

static uint64_t percentile(const tally *tally, double part) {
  uint64_t rank = (uint64_t)((double)tally->received * part), seen = 0;
  for (unsigned exponent = 0; exponent < 64; exponent++)
    for (unsigned step = 0; step < 64; step++)
      if ((seen += tally->histogram[exponent][step]) > rank) return (uint64_t)step << exponent;
  return tally->latency_max;
}

/* Frames sent from `start` on count. */
static bool receive(uint8_t *ring, unsigned *head, uint64_t mark, uint64_t start, tally *tally) {
  uint64_t time = 0;
  bool any = false;
  for (int i = 0; i < 4 * BURST; i++) {
    struct tpacket2_hdr *slot = (void *)(ring + (size_t)*head * SLOT_BYTES);
    if (!(__atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) break;
    if (time == 0) time = now();
    trailer trailer;
    if (slot->tp_snaplen >= sizeof trailer) {
      memcpy(&trailer, (uint8_t *)slot + slot->tp_mac + slot->tp_snaplen - sizeof trailer, sizeof trailer);
      if (trailer.mark == mark && trailer.sent >= start) {
        record(tally, time - trailer.sent);
        tally->received++;
        uint64_t *next = &tally->next[trailer.sequence >> 56];
        if (trailer.sequence < *next) tally->reordered++;
        *next = trailer.sequence + 1;
      }
    }
    __atomic_store_n(&slot->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    *head = (*head + 1) % RING_FRAMES;
    any = true;
  }
  return any;
}

static size_t parse_hex(const char *text, uint8_t *out) {
  size_t length = strlen(text) / 2;
  if (length < 64 || length > MAX_FRAME) {
    fprintf(stderr, "traffic: a frame has 64 to %d bytes, not %zu\n", MAX_FRAME, length);
    exit(2);
  }
  for (size_t i = 0; i < length; i++) {
    unsigned byte;
    if (sscanf(text + 2 * i, "%2x", &byte) != 1) {
      fprintf(stderr, "traffic: not hex: %.16s\n", text + 2 * i);
      exit(2);
    }
    out[i] = (uint8_t)byte;
  }
  return length;
}

/* Send what is due. A sender that fell behind catches up by one burst at most, so that the rate offered is
 * never above what was asked. */
static void send_due(sender *s, uint64_t time) {
  s->credit += (double)(time - s->last) * s->rate / SECOND;
  s->last = time;
  if (s->credit > BURST) s->credit = BURST;
  int n = (int)s->credit;
  for (int i = 0; i < n; i++) {
    const templates *t = s->templates;
    size_t length = t->lengths[s->turn];
    const trailer trailer = {s->mark, s->sequence++, time};
    memcpy(s->burst[i], t->frames[s->turn], length);
    memcpy(s->burst[i] + length - sizeof trailer, &trailer, sizeof trailer);
    s->parts[i] = (struct iovec){s->burst[i], length};
    s->messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &s->parts[i], .msg_iovlen = 1}};
    s->turn = s->turn + 1 == t->count ? 0 : s->turn + 1;
  }
  for (int sent = 0; sent < n;) {
    int taken = sendmmsg(s->socket, s->messages + sent, (unsigned)(n - sent), MSG_DONTWAIT);
    if (taken <= 0) s->refused++, taken = 1; /* no room for it: offered and lost */
    sent += taken;
  }
  s->credit -= n;
  if (time >= s->start) s->counted += (unsigned)n;
}

static void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) < 0) fail("sched_setaffinity");
}

static void *run_sender(void *argument) {
  sender *s = argument;
  pin(s->cpu);
  for (uint64_t time = s->last; time < s->end; time = now()) send_due(s, time);
  return NULL;
}

static unsigned parse_cpus(const char *text, int *cpus) {
  unsigned count = 0;
  for (char *end; count < MAX_SENDERS; text = end + 1) {
    cpus[count++] = (int)strtol(text, &end, 10);
    if (*end != ',') break;
  }
  return count;
}

int main(int argc, char **argv) {
  if (argc < 7) {
    fprintf(stderr, "usage: %s OUT IN RATE SECONDS CPUS FRAME [FRAME...]\n", argv[0]);
    return 2;
  }
  double rate = atof(argv[3]), seconds = atof(argv[4]);
  int cpus[MAX_SENDERS];
  unsigned cpu_count = parse_cpus(argv[5], cpus), count = cpu_count > 1 ? cpu_count - 1 : 1;
  templates templates = {.count = (unsigned)argc - 6};
  templates.frames = calloc(templates.count, MAX_FRAME);
  templates.lengths = calloc(templates.count, sizeof *templates.lengths);
  sender *senders = calloc(count, sizeof *senders);
  if (rate <= 0 || seconds <= 0 || !templates.frames || !templates.lengths || !senders) return 2;
  for (unsigned i = 0; i < templates.count; i++)
    templates.lengths[i] = parse_hex(argv[6 + i], templates.frames[i]);

  int in = open_interface(argv[2], ETH_P_ALL);
  uint8_t *ring = map_ring(in);
  unsigned head = 0;
  static tally tally;
  uint64_t begin = now(), start = begin + WARM_UP, end = start + (uint64_t)(seconds * SECOND);
  for (unsigned i = 0; i < count; i++) {
    senders[i] = (sender){.templates = &templates,
                          .socket = open_interface(argv[1], 0),
                          .cpu = cpus[cpu_count - count + i],
                          .rate = rate / count,
                          .mark = begin ^ 0x7034216a69740000u,
                          .sequence = (uint64_t)i << 56,
                          .start = start,
                          .end = end,
                          .last = begin};
  }
  pthread_t threads[MAX_SENDERS];
  unsigned own = cpu_count == 1; /* senders that run on this thread */
  for (unsigned i = own; i < count; i++)
    if ((errno = pthread_create(&threads[i], NULL, run_sender, &senders[i])) != 0) fail("pthread_create");
  pin(cpus[0]);
  uint64_t time, mark = senders[0].mark;
  while ((time = now()) < end) {
    if (own) send_due(&senders[0], time);
    receive(ring, &head, mark, start, &tally);
  }
  for (uint64_t quiet = end; (time = now()) - quiet < DRAIN && time - end < 5ull * SECOND;)
    if (receive(ring, &head, mark, start, &tally)) quiet = time;

  uint64_t counted = 0, refused = 0;
  for (unsigned i = 0; i < count; i++) {
    if (i >= own) pthread_join(threads[i], NULL);
    counted += senders[i].counted;
    refused += senders[i].refused;
  }
  struct tpacket_stats kernel = {0};
  socklen_t size = sizeof kernel;
  getsockopt(in, SOL_PACKET, PACKET_STATISTICS, &kernel, &size);
  uint64_t received = tally.received;
  printf("{\"seconds\": %.3f, \"offered\": %" PRIu64 ", \"received\": %" PRIu64 ", \"refused\": %" PRIu64
         ", \"reordered\": %" PRIu64 ", \"overrun\": %u, \"latency_min\": %" PRIu64
         ", \"latency_mean\": %.0f, \"latency_p50\": %" PRIu64 ", \"latency_p99\": %" PRIu64
         ", \"latency_max\": %" PRIu64 "}\n",
         seconds, counted, received, refused, tally.reordered, kernel.tp_drops, tally.latency_min,
         received ? (double)tally.latency_sum / (double)received : 0, percentile(&tally, 0.5),
         percentile(&tally, 0.99), tally.latency_max);
  return 0;
}
