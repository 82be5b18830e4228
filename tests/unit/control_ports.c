/* SPDX-License-Identifier: MIT */
/* control_ports.c - the sentence for a port that cannot be had. The rest: tests/unit/daemon.c. */
#include "sessiond-lite/control_ports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "sessiond-lite/port_owner.h"

/* What the test says who has a port; NULL: nobody that can be seen. */
static const char *owner;

int port_owner(uint16_t port, char *buf, size_t size)
{
	(void)port;
	if (!owner)
		return 0;
	snprintf(buf, size, "%s", owner);
	return 1;
}

static const char *sentence(const char *what, const char *at, const char *who)
{
	static char buf[512];
	struct addr a;

	owner = who;
	cr_assert_eq(addr_parse(at, &a), 0);
	control_ports_why_not(what, &a, -EADDRINUSE, buf, sizeof(buf));
	return buf;
}

Test(control_ports, who_has_it)
{
	static const struct {
		const char *what, *at, *who;
		const char *want;
		bool lttng; /* lttng-relayd is spoken of */
	} c[] = {
		{"trace-cmd.listen", "0.0.0.0:12345", "nc (process 7)",
		 "trace-cmd.listen: port 12345 (0.0.0.0:12345) is already in use by nc (process "
		 "7); "
		 "end that, or choose another port",
		 false},
		{"lttng.control", "0.0.0.0:5342", "lttng-relayd (process 8)",
		 "lttng.control: port 5342 (0.0.0.0:5342) is already in use by lttng-relayd "
		 "(process 8); end that",
		 true},
		{"lttng.data", "[::]:5343", "a process of user root",
		 "in use by a process of user root, most likely lttng-relayd; end that", true},
		{"lttng.live", "127.0.0.1:5344", NULL,
		 "in use by another program, most likely lttng-relayd; end that", true},
		{"lttng.control", "0.0.0.0:5342", "nc (process 7)", "in use by nc (process 7); end",
		 false},
		{"lttng.control", "0.0.0.0:6000", "a process of user root", "user root; end",
		 false},
		{"--listen", "0.0.0.0:5342", NULL, "in use by another program; end", false},
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		const char *is = sentence(c[i].what, c[i].at, c[i].who);

		cr_assert(strstr(is, c[i].want), "case %zu: %s", i, is);
		cr_assert_eq(strstr(is, "lttng-relayd") != NULL, c[i].lttng, "case %zu: %s", i, is);
	}
}
