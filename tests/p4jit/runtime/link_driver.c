/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"
#include "script.h"

static p4_link_config read_config(void) {
  p4_link_config config = {.rate = script_number()};
  config.delay = script_number();
  config.jitter = script_number();
  config.loss = strtod(script_word(), NULL);
  config.seed = script_number();
  config.limit = (uint32_t)script_number();
  return config;
}

int main(void) {
  p4_link *link = NULL;
  char line[256];
  for (char *op; (op = script_next(line, sizeof line)) != NULL;) {
    if (!strcmp(op, "end")) {
      p4_link_free(link, script_release, NULL);
      link = NULL;
      script_end();
    } else if (!strcmp(op, "new")) {
      p4_link_config config = read_config();
      link = p4_link_new(&config);
      printf("%d\n", link != NULL);
    } else if (!strcmp(op, "configure")) {
      p4_link_config config = read_config();
      printf("%d\n", p4_link_configure(link, &config));
    } else if (!strcmp(op, "send")) {
      uint32_t identity = (uint32_t)script_number(), bytes = (uint32_t)script_number();
      p4_packet *packet = script_packet(identity, bytes);
      int result = p4_link_send(link, packet, script_number(), bytes);
      printf("%d %" PRIu64 "\n", result, p4_link_busy_until(link));
      if (result != P4_LINK_ACCEPTED)
        free(packet);
    } else if (!strcmp(op, "receive")) {
      uint64_t at = 0;
      p4_packet *packet = p4_link_receive(link, script_number(), &at);
      if (packet == NULL) {
        puts("-");
        continue;
      }
      printf("%" PRIu32 " %" PRIu64 "\n", packet->ingress_length, at);
      free(packet);
    } else if (!strcmp(op, "next")) {
      printf("%" PRIu64 "\n", p4_link_next_event(link));
    } else if (!strcmp(op, "flush")) {
      p4_link_flush(link, script_release, NULL);
    } else if (!strcmp(op, "status")) {
      p4_link_status s;
      p4_link_status_get(link, &s);
      printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 "\n", s.sent_packets, s.sent_bytes, s.lost,
             s.dropped, s.under_way);
    } else {
      fprintf(stderr, "unknown operation %s\n", op);
      abort();
    }
  }
  p4_link_free(link, script_release, NULL);
  return 0;
}
