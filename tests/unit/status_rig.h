/* SPDX-License-Identifier: MIT */
/* status_rig.h - a status document of a state memory, parsed, for tests of its parts. */
#ifndef TRACERELAY_TESTS_UNIT_STATUS_RIG_H
#define TRACERELAY_TESTS_UNIT_STATUS_RIG_H

#include "relayd/status_document.h"

extern struct state status_rig_st;
extern struct status_rates *status_rig_rates;
extern int64_t status_rig_busy_since_ms[2];

/* Room for 64 streams; session "default" in slot 0. */
void status_rig_start(void);
void status_rig_stop(void);

struct status_view status_rig_view(const json_t *limits);
/* The caller's. Duplicate members are a mistake. */
json_t *status_rig_document(void);

/* An element, a member; it must be there and of that type. */
json_t *status_rig_at(const json_t *doc, const char *list, size_t index);
uint64_t status_rig_number(const json_t *object, const char *key);
const char *status_rig_string(const json_t *object, const char *key);
bool status_rig_is_null(const json_t *object, const char *key);

#endif
