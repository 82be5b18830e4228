/* SPDX-License-Identifier: MIT */
/* talk_expect.c - what a script says of its peer's bytes; see talk_peer.h. */
#include "tests/talk/talk_peer.h"

void talk_peer_expect(struct talk_peer *p, const struct talk_mode *mode,
		      const struct talk_line *line)
{
	talk_same_bytes(line, "what the relay sent", p->to_client + p->to_client_seen,
			p->to_client_len - p->to_client_seen);
	if (line->verb == TALK_RELAY_SENT && line->len && talk_mode_is_plain(mode) &&
	    p->writes != 1)
		talk_fail("the reply came in %u writes", p->writes);
	p->to_client_seen = p->to_client_len;
	p->writes = 0;
}

void talk_peer_expect_no_more(const struct talk_peer *p)
{
	if (p->to_client_seen != p->to_client_len && !p->client_deaf)
		talk_fail("%zu bytes were sent that the script does not know",
			  p->to_client_len - p->to_client_seen);
}
