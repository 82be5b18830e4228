/* SPDX-License-Identifier: MIT */
/*
 * control_ports.h - the addresses of trace-cmd.listen and of lttng.control, .data and .live, and
 * why one cannot be listened on.
 *
 * Thread: sessiond-lite's loop. Test: tests/unit/control_ports.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_CONTROL_PORTS_H
#define TRACERELAY_SESSIOND_LITE_CONTROL_PORTS_H

#include <stddef.h>

#include "common/addr.h"
#include "config/options.h"
#include "sessiond-lite/listener.h"

/*
 * Listen on all of them. An address family that this machine does not have is only logged, if
 * another address of the same option works. Other failures are complained about.
 */
int control_ports_open(struct listeners *l, const struct options *options);

/*
 * The sentence for a listener_add() that failed.
 * @what  the option that asked for it
 */
void control_ports_why_not(const char *what, const struct addr *at, int error, char *buf,
			   size_t size);

/*
 * "ready trace-cmd 0.0.0.0:12345 [::]:12345 lttng-control 0.0.0.0:5342 lttng-data ... lttng-live
 * ..." and a newline; a name of LTTng only with addresses behind it. What does not fit is left out.
 */
void control_ports_ready_line(const struct listeners *l, char *buf, size_t size);

#endif
