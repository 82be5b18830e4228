/* SPDX-License-Identifier: MIT */
/*
 * setup_options.h - the options that sessiond-lite hands over, and what relayd makes of them.
 * Thread: the front loop's, at the start.
 */
#ifndef TRACERELAY_RELAYD_SETUP_OPTIONS_H
#define TRACERELAY_RELAYD_SETUP_OPTIONS_H

#include <stdint.h>

struct options;
struct relay;

/* Read the JSON memfd (closed afterwards) into r->options and r->limits; start the log. */
int setup_options(struct relay *r, int fd);
uint64_t setup_udp_linger_ms(const struct options *o);

#endif
