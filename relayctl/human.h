/* SPDX-License-Identifier: MIT */
/*
 * human.h - figures as people read them; scripts use --json, which is exact.
 *
 * All return buf. Thread: any.
 */
#ifndef TRACERELAY_RELAYCTL_HUMAN_H
#define TRACERELAY_RELAYCTL_HUMAN_H

#include <stdint.h>

#define HUMAN_MAX 48

/* "0 B", "1023 B", "1.2 KiB", "12.3 MiB", "123 MiB": binary units, three digits or so. */
char *human_bytes(uint64_t bytes, char buf[HUMAN_MAX]);
/* "1.2 MiB/s" */
char *human_rate(uint64_t bytes_a_second, char buf[HUMAN_MAX]);
/* "1,234,567" */
char *human_count(uint64_t n, char buf[HUMAN_MAX]);
/* "0s", "1.5s", "59s", "3m 4s", "2h 3m", "3d 4h" */
char *human_duration(uint64_t ms, char buf[HUMAN_MAX]);

/* From a time in JSON ("2024-11-21T08:30:00.123Z") to nanoseconds of CLOCK_REALTIME; 0 if it is
 * none. */
int64_t human_time_parse(const char *iso);
/* "2024-11-21 08:30:00 UTC"; "-" for 0 and for what is no time. */
char *human_time(const char *iso, char buf[HUMAN_MAX]);
char *human_time_of(int64_t ns, char buf[HUMAN_MAX]);

#endif
