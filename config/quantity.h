/* SPDX-License-Identifier: MIT */
/*
 * quantity.h - numbers with units as people write them: "64M", "60s", "4096".
 *
 * Thread: any; no state.
 * Errors: -EINVAL for what is no such number, -ERANGE for what does not fit into 63 bits (JSON's
 *         integers end there).
 */
#ifndef TRACERELAY_CONFIG_QUANTITY_H
#define TRACERELAY_CONFIG_QUANTITY_H

#include <stdint.h>

/* Digits only. */
int quantity_parse_count(const char *text, uint64_t *ret);

/* Bytes: digits, then nothing or one of K, M, G, T (powers of 1024; "KiB" and so on mean the same).
 */
int quantity_parse_size(const char *text, uint64_t *ret);

/* Milliseconds: digits and one of ms, s, m, h, d. A bare number is refused, but for 0: nobody can
 * tell what it would mean. */
int quantity_parse_duration(const char *text, uint64_t *ret_ms);

/* The shortest text that is exact: "64M", "90s", "0". All return buf. */
#define QUANTITY_TEXT_MAX 32
char *quantity_format_count(uint64_t count, char buf[QUANTITY_TEXT_MAX]);
char *quantity_format_size(uint64_t bytes, char buf[QUANTITY_TEXT_MAX]);
char *quantity_format_duration(uint64_t ms, char buf[QUANTITY_TEXT_MAX]);

#endif
