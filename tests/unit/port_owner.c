/* SPDX-License-Identifier: MIT */
/* port_owner.c - this process is found as the owner of its own port. */
#include "sessiond-lite/port_owner.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "sessiond-lite/bound_socket.h"

static void found(const char *text)
{
	struct keep_alive k = {60, 10, 6};
	char buf[128], want[64];
	struct addr at;
	int fd;

	cr_assert_eq(addr_parse(text, &at), 0);
	cr_assert_eq(bound_socket_listen(&at, BOUND_AS_WRITTEN, &k, &fd), 0);
	cr_assert_eq(bound_socket_address(fd, &at), 0);
	cr_assert_eq(port_owner(at.port, buf, sizeof(buf)), 1);
	snprintf(want, sizeof(want), "(process %d)", (int)getpid());
	cr_assert(strstr(buf, want), "%s", buf);
	close(fd);
	cr_assert_eq(port_owner(at.port, buf, sizeof(buf)), 0);
	cr_assert_str_empty(buf);
}

Test(port_owner, ipv4)
{
	found("127.0.0.1:0");
}

Test(port_owner, ipv6)
{
	found("[::1]:0");
}
