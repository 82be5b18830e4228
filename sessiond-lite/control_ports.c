/* SPDX-License-Identifier: MIT */
/* control_ports.c - a loop, and sentences. */
#include "sessiond-lite/control_ports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "sessiond-lite/complaint.h"
#include "sessiond-lite/port_owner.h"

/* The ports that both lttng-relayd and we have by default. */
static bool is_relayds(const struct addr *at)
{
	return at->port >= 5342 && at->port <= 5344;
}

static void in_use(const char *what, const struct addr *at, const char *text, char *buf,
		   size_t size)
{
	bool lttng = strncmp(what, "lttng.", strlen("lttng.")) == 0, named, likely;
	char owner[128];

	if (!port_owner(at->port, owner, sizeof(owner)))
		snprintf(owner, sizeof(owner), "another program");
	named = strstr(owner, "(process ");
	/* What cannot be looked at is another user's. */
	likely = lttng && !named && is_relayds(at);
	lttng = lttng && (likely || strncmp(owner, "lttng-relayd", strlen("lttng-relayd")) == 0);
	snprintf(buf, size,
		 "%s: port %u (%s) is already in use by %s%s; end that, or choose another "
		 "port%s",
		 what, at->port, text, owner, likely ? ", most likely lttng-relayd" : "",
		 lttng ? " (lttng-relayd does what the relay does for LTTng; both run side by side "
			 "with other ports for one of them)"
		       : "");
}

void control_ports_why_not(const char *what, const struct addr *at, int error, char *buf,
			   size_t size)
{
	char text[ADDR_TEXT_MAX];

	addr_format(at, text);
	switch (error) {
	case -EADDRINUSE:
		in_use(what, at, text, buf, size);
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

static int open_list(struct listeners *l, const char *option,
		     const struct option_addresses *addresses, enum conversation_role role)
{
	size_t listening = 0;
	char sentence[512];
	struct addr at;
	int r;

	for (size_t i = 0; i < addresses->count; i++) {
		r = addr_from_sockaddr((struct sockaddr *)&addresses->at[i],
				       sizeof(addresses->at[i]), &at);
		if (r == 0)
			r = listener_add(l, &at, role, 0, NULL);
		if (r == 0) {
			listening++;
			continue;
		}
		control_ports_why_not(option, &at, r, sentence, sizeof(sentence));
		if (r != -EAFNOSUPPORT || (i + 1 == addresses->count && !listening))
			return complaint(r, "%s", sentence);
		log_warning("no-family", "%s", sentence);
	}
	return 0;
}

int control_ports_open(struct listeners *l, const struct options *o)
{
	int r;

	if ((r = open_list(l, "trace-cmd.listen", &o->trace_cmd.listen, CONVERSATION_TRACE_CMD)) <
		    0 ||
	    (r = open_list(l, "lttng.control", &o->lttng.control, CONVERSATION_LTTNG_CONTROL)) <
		    0 ||
	    (r = open_list(l, "lttng.data", &o->lttng.data, CONVERSATION_LTTNG_DATA)) < 0 ||
	    (r = open_list(l, "lttng.live", &o->lttng.live, CONVERSATION_LTTNG_LIVE)) < 0)
		return r;
	return 0;
}

static void add(char *buf, size_t size, const char *text)
{
	size_t n = strlen(buf);

	if (n + strlen(text) + 3 < size)
		snprintf(buf + n, size - n, " %s", text);
}

void control_ports_ready_line(const struct listeners *l, char *buf, size_t size)
{
	struct listener_info info;
	char text[ADDR_TEXT_MAX];
	size_t n;

	snprintf(buf, size, "ready trace-cmd");
	for (int role = 0; role < CONVERSATION_ROLES; role++) {
		bool named = role == CONVERSATION_TRACE_CMD;

		for (size_t i = 0; listener_get(l, i, &info) == 0; i++) {
			if ((int)info.role != role)
				continue;
			if (!named)
				add(buf, size, listener_role_name(info.role));
			named = true;
			addr_format(&info.at, text);
			add(buf, size, text);
		}
	}
	n = strlen(buf);
	snprintf(buf + n, size - n, "\n");
}
