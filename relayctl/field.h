/* SPDX-License-Identifier: MIT */
/*
 * field.h - members of a daemon's JSON; what is missing or of another type is empty, 0 or false.
 *
 * Thread: any. Everything stays the document's.
 */
#ifndef TRACERELAY_RELAYCTL_FIELD_H
#define TRACERELAY_RELAYCTL_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

const char *field_text(const json_t *object, const char *key); /* never NULL */
uint64_t field_number(const json_t *object, const char *key);
/* There, and not null: what does not apply is null. */
bool field_known(const json_t *object, const char *key);
bool field_is(const json_t *object, const char *key); /* true, and not anything else */
/* The member, as a list or object; iterating over NULL is fine for jansson. */
json_t *field_of(const json_t *object, const char *key);

/* The sum of an object of numbers, as of "discarded". */
uint64_t field_sum(const json_t *object, const char *key);

#endif
