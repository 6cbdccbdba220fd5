/* SPDX-License-Identifier: Apache-2.0 */
#include "pcap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MICROSECONDS 0xa1b2c3d4u
#define NANOSECONDS 0xa1b23c4du
#define NEXT_GENERATION 0x0a0d0d0au /* pcapng */
#define ETHERNET 1u
#define LARGEST_RECORD (16u << 20)  /* a longer one is a broken file */
#define BUFFER_BYTES (64u << 10)
#define SECOND 1000000000u

typedef struct file_header {
  uint32_t magic;
  uint16_t major, minor;
  uint32_t zone, accuracy;
  uint32_t snapshot_length;
  uint32_t link_type;
} file_header;

typedef struct record_header {
  uint32_t seconds;
  uint32_t fraction;
  uint32_t captured;
  uint32_t length;
} record_header;

struct p4_pcap_writer {
  FILE *file;
  int error; /* errno of the first failure */
};

struct p4_pcap_reader {
  FILE *file;
  bool swapped;
  uint32_t unit; /* ns in one step of a record's fraction */
};

static uint32_t from_file(const p4_pcap_reader *reader, uint32_t value) {
  return reader->swapped ? __builtin_bswap32(value) : value;
}

p4_pcap_writer *p4_pcap_create(const char *path, char *error, size_t error_bytes) {
  const file_header header = {
      .magic = NANOSECONDS, .major = 2, .minor = 4, .snapshot_length = 1u << 18, .link_type = ETHERNET};
  p4_pcap_writer *writer = calloc(1, sizeof *writer);
  if (writer != NULL) writer->file = fopen(path, "wbe");
  if (writer == NULL || writer->file == NULL) {
    snprintf(error, error_bytes, "%s: cannot write a capture: %s", path, strerror(errno));
    free(writer);
    return NULL;
  }
  setvbuf(writer->file, NULL, _IOFBF, BUFFER_BYTES);
  if (fwrite(&header, sizeof header, 1, writer->file) != 1) writer->error = errno;
  p4_pcap_flush(writer); /* so that a reader that follows the file can start */
  return writer;
}

int p4_pcap_write(p4_pcap_writer *writer, uint64_t time, const uint8_t *data, uint32_t length) {
  const record_header record = {.seconds = (uint32_t)(time / SECOND),
                                .fraction = (uint32_t)(time % SECOND),
                                .captured = length,
                                .length = length};
  if (writer->error == 0 && (fwrite_unlocked(&record, sizeof record, 1, writer->file) != 1 ||
                             (length != 0 && fwrite_unlocked(data, length, 1, writer->file) != 1)))
    writer->error = errno;
  return -writer->error;
}

int p4_pcap_flush(p4_pcap_writer *writer) {
  if (writer->error == 0 && fflush_unlocked(writer->file) != 0) writer->error = errno;
  return -writer->error;
}

int p4_pcap_finish(p4_pcap_writer *writer) {
  if (writer == NULL) return 0;
  int error = p4_pcap_flush(writer);
  if (fclose(writer->file) != 0 && error == 0) error = -errno;
  free(writer);
  return error;
}

static const char *check_header(p4_pcap_reader *reader) {
  file_header header;
  if (fread(&header, sizeof header, 1, reader->file) != 1) return "is too short for a capture";
  if (header.magic == NEXT_GENERATION)
    return "is a pcapng file: convert it with `tcpdump -r IN -w OUT` or `editcap -F pcap IN OUT`";
  reader->swapped =
      header.magic == __builtin_bswap32(MICROSECONDS) || header.magic == __builtin_bswap32(NANOSECONDS);
  uint32_t magic = from_file(reader, header.magic);
  if (magic != MICROSECONDS && magic != NANOSECONDS) return "is not a pcap file";
  reader->unit = magic == MICROSECONDS ? 1000 : 1;
  /* The upper bits tell of a frame check sequence. */
  if ((from_file(reader, header.link_type) & 0xffff) != ETHERNET) return "does not hold Ethernet frames";
  return NULL;
}

p4_pcap_reader *p4_pcap_open(const char *path, char *error, size_t error_bytes) {
  p4_pcap_reader *reader = calloc(1, sizeof *reader);
  if (reader != NULL) reader->file = fopen(path, "rbe");
  if (reader == NULL || reader->file == NULL) {
    snprintf(error, error_bytes, "%s: cannot read the capture: %s", path, strerror(errno));
    free(reader);
    return NULL;
  }
  setvbuf(reader->file, NULL, _IOFBF, BUFFER_BYTES);
  const char *problem = check_header(reader);
  if (problem != NULL) {
    snprintf(error, error_bytes, "%s %s", path, problem);
    p4_pcap_close(reader);
    return NULL;
  }
  return reader;
}

/* Reading, not seeking: a capture may come from a pipe. */
static bool skip(FILE *file, uint32_t bytes) {
  uint8_t waste[512];
  while (bytes > 0) {
    size_t n = fread_unlocked(waste, 1, bytes < sizeof waste ? bytes : sizeof waste, file);
    if (n == 0) return false;
    bytes -= (uint32_t)n;
  }
  return true;
}

int p4_pcap_read(p4_pcap_reader *reader, uint8_t *data, uint32_t room, uint32_t *length, uint64_t *time) {
  record_header record;
  if (fread_unlocked(&record, sizeof record, 1, reader->file) != 1) return 0;
  uint32_t captured = from_file(reader, record.captured);
  if (captured > LARGEST_RECORD) return -EINVAL;
  uint32_t kept = captured < room ? captured : room;
  if (kept != 0 && fread_unlocked(data, kept, 1, reader->file) != 1) return 0;
  if (!skip(reader->file, captured - kept)) return 0;
  *length = captured;
  *time = (uint64_t)from_file(reader, record.seconds) * SECOND +
          (uint64_t)from_file(reader, record.fraction) * reader->unit;
  return 1;
}

void p4_pcap_close(p4_pcap_reader *reader) {
  if (reader == NULL) return;
  if (reader->file != NULL) fclose(reader->file);
  free(reader);
}
