/* SPDX-License-Identifier: MIT */
/*
 * fake_relayd.c - a relayd that only talks: what the supervisor's tests start.
 *
 * $FAKE_RELAYD: "" READY after SYNCED, STOPPED after SHUTDOWN; "crash": exit 3 after SYNCED;
 * "stubborn": SIGKILL itself at SHUTDOWN, but for generation 3; "deaf": close the link and stay.
 * READY's text names the descriptors it was started with, and kind is how many came with SETUP.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/link.h"
#include "common/seqpacket.h"

static struct state st;

static void say(enum link_type type, uint32_t kind, const char *text)
{
	struct link_message m = {.type = type, .kind = kind};

	snprintf(m.text, sizeof(m.text), "%s", text);
	if (seqpacket_send(3, &m, link_size(&m), NULL, 0) < 0)
		_exit(4);
}

int main(int argc, char **argv)
{
	const char *mode = getenv("FAKE_RELAYD");
	char inherited[256] = "";
	uint32_t setup_fds = 0;

	if (argc != 3 || strcmp(argv[1], "--link") || strcmp(argv[2], "3"))
		return 5;
	if (!mode)
		mode = "";
	for (int fd = 0; fd < 1024; fd++)
		if (!access((snprintf(inherited + 128, 64, "/proc/self/fd/%d", fd),
			     inherited + 128),
			    F_OK)) {
			size_t n = strlen(inherited);

			snprintf(inherited + n, 128 - n, "%d ", fd);
		}
	for (;;) {
		static struct link_message m;
		int fds[LINK_ITEMS];
		unsigned n = LINK_ITEMS, flags;
		ssize_t len;

		poll(&(struct pollfd){.fd = 3, .events = POLLIN}, 1, -1);
		len = seqpacket_recv(3, &m, sizeof(m), fds, &n, &flags);
		if (len == -EAGAIN)
			continue;
		if (len <= 0)
			return 0;
		switch ((enum link_type)m.type) {
		case LINK_SETUP:
			setup_fds = n;
			if (m.version != LINK_VERSION || n != 5 + 2 * m.workers ||
			    state_attach(fds[0], &st) < 0)
				return 6;
			/* the pipes are pipes, read end first */
			for (unsigned i = 5; i < n; i += 2) {
				char c = 0;

				if (write(fds[i + 1], "p", 1) != 1 || read(fds[i], &c, 1) != 1 ||
				    c != 'p')
					return 7;
			}
			break;
		case LINK_SYNCED:
			if (!strcmp(mode, "crash"))
				return 3;
			say(LINK_READY, setup_fds, inherited);
			if (!strcmp(mode, "deaf")) {
				close(3);
				for (;;)
					pause();
			}
			break;
		case LINK_SHUTDOWN:
			if (!strcmp(mode, "stubborn") && atomic_load(&st.header->generation) < 3)
				raise(SIGKILL);
			say(LINK_STOPPED, 0, "");
			return 0;
		default:
			break;
		}
	}
}
