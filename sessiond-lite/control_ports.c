/* SPDX-License-Identifier: MIT */
/* control_ports.c - a loop, and sentences. */
#include "sessiond-lite/control_ports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "sessiond-lite/complaint.h"
#include "sessiond-lite/port_owner.h"

void control_ports_why_not(const char *what, const struct addr *at, int error, char *buf,
			   size_t size)
{
	char text[ADDR_TEXT_MAX], owner[128];

	addr_format(at, text);
	switch (error) {
	case -EADDRINUSE:
		if (!port_owner(at->port, owner, sizeof(owner)))
			snprintf(owner, sizeof(owner), "another program");
		snprintf(buf, size,
			 "%s: port %u (%s) is already in use by %s; end that, or choose another "
			 "port",
			 what, at->port, text, owner);
		break;
	case -EACCES:
		snprintf(buf, size, "%s: %s is a port that only root may open", what, text);
		break;
	case -EADDRNOTAVAIL:
		snprintf(buf, size, "%s: %s is no address of this machine", what, text);
		break;
	case -EMFILE:
		snprintf(buf, size, "%s: no descriptors left for %s (RLIMIT_NOFILE)", what, text);
		break;
	default:
		snprintf(buf, size, "%s: cannot listen on %s: %s", what, text, strerror(-error));
	}
}

int control_ports_open(struct listeners *l, const struct option_addresses *addresses)
{
	size_t listening = 0;
	char sentence[512];
	struct addr at;
	int r;

	for (size_t i = 0; i < addresses->count; i++) {
		r = addr_from_sockaddr((struct sockaddr *)&addresses->at[i],
				       sizeof(addresses->at[i]), &at);
		if (r == 0)
			r = listener_add(l, &at, 0, NULL);
		if (r == 0) {
			listening++;
			continue;
		}
		control_ports_why_not("trace-cmd.listen", &at, r, sentence, sizeof(sentence));
		if (r != -EAFNOSUPPORT || (i + 1 == addresses->count && !listening))
			return complaint(r, "%s", sentence);
		log_warning("no-family", "%s", sentence);
	}
	return 0;
}

void control_ports_ready_line(const struct listeners *l, char *buf, size_t size)
{
	char text[ADDR_TEXT_MAX];
	uint32_t own_session;
	struct addr at;
	size_t n;

	snprintf(buf, size, "ready trace-cmd");
	for (size_t i = 0; listener_get(l, i, &at, &own_session) == 0; i++) {
		n = strlen(buf);
		addr_format(&at, text);
		if (n + strlen(text) + 3 < size)
			snprintf(buf + n, size - n, " %s", text);
	}
	n = strlen(buf);
	snprintf(buf + n, size - n, "\n");
}
