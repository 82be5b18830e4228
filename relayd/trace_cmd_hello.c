/* SPDX-License-Identifier: MIT */
/*
 * trace_cmd_hello.c - greeting, version string, magic: until the dialect is known.
 *
 * The client speaks its newest version first and each answer makes another family of clients die,
 * so every one is answered in its own. V3's answers must each arrive alone; they do, since a step
 * makes one reply and the next step comes when it is sent.
 * Source: doc/protocol.md "Who is it?".
 */
#include <assert.h>

#include "relayd/trace_cmd_dialect.h"

#define MAGIC_V2      "677768\0" /* 2.7 sends one NUL more */
#define MAGIC_V2_LEN  7u
#define MAGIC_27_LEN  8u
#define MAGIC_V3      "766679\0\0"
#define MAGIC_V3_LEN  8u
#define REPLY(string) string, sizeof(string) - 1

enum trace_cmd_action trace_cmd_hello_greet(struct trace_cmd *s, const struct trace_cmd_input *in,
					    struct trace_cmd_output *out)
{
	(void)in;
	return trace_cmd_answer(s, out, 0, TRACE_CMD_VERSION, REPLY("tracecmd"));
}

int trace_cmd_string(const struct trace_cmd_input *in, const char **ret, size_t *ret_len)
{
	size_t n = in->len < TRACE_CMD_STRING_MAX ? in->len : TRACE_CMD_STRING_MAX;
	const uint8_t *end = n ? memchr(in->bytes, 0, n) : NULL;

	if (!end)
		return n < TRACE_CMD_STRING_MAX ? 0 : -EMSGSIZE;
	*ret = (const char *)in->bytes;
	*ret_len = (size_t)(end - in->bytes);
	return 1;
}

int trace_cmd_number(const char *digits, size_t len, uint32_t *ret)
{
	uint32_t v = 0;

	if (!len)
		return -EPROTO;
	for (size_t i = 0; i < len; i++) {
		uint32_t d = (uint32_t)(unsigned char)digits[i] - '0';

		if (d > 9)
			return -EPROTO;
		v = v > (UINT32_MAX - d) / 10 ? UINT32_MAX : v * 10 + d;
	}
	*ret = v;
	return 0;
}

/* A version nobody knows yet: offer the newest. The same one again means that the offer is no use.
 */
static enum trace_cmd_action unknown_version(struct trace_cmd *s, struct trace_cmd_output *out,
					     const char *version, size_t len)
{
	if (!strcmp(s->unknown, version) || s->unknown_versions >= TRACE_CMD_PATIENCE)
		return trace_cmd_end(out, CLOSE_version_unknown);
	memset(s->unknown, 0, sizeof(s->unknown));
	memcpy(s->unknown, version, len);
	s->unknown_versions++;
	out->renegotiated = true;
	return trace_cmd_answer(s, out, len + 1, TRACE_CMD_VERSION, REPLY("V3\0"));
}

enum trace_cmd_action trace_cmd_hello_version(struct trace_cmd *s, const struct trace_cmd_input *in,
					      struct trace_cmd_output *out)
{
	enum close_reason reason;
	const char *string;
	uint32_t cpus;
	size_t len;
	int r;

	/* Most strangers (HTTP, TLS) never send a NUL: no need to wait for it. */
	if (in->len && in->bytes[0] != '-' && (in->bytes[0] < '0' || in->bytes[0] > '9'))
		return trace_cmd_end(out, CLOSE_protocol);
	r = trace_cmd_string(in, &string, &len);
	if (!r)
		return trace_cmd_wait(out, TRACE_CMD_WAIT_BYTES);
	if (r < 0)
		return trace_cmd_end(out, CLOSE_oversize);

	if (!strcmp(string, "-1V3")) {
		s->protocol = PROTOCOL_TRACE_CMD_V3;
		return trace_cmd_answer(s, out, len + 1, TRACE_CMD_V3_MAGIC, REPLY("V3\0"));
	}
	if (!strcmp(string, "-1V2")) {
		s->protocol = PROTOCOL_TRACE_CMD_V2;
		s->early = in->len > len + 1;
		return trace_cmd_answer(s, out, len + 1, TRACE_CMD_V2_MAGIC, REPLY("V2\0"));
	}
	if (!strncmp(string, "-1V", 3))
		return unknown_version(s, out, string, len);
	/* Behind an unknown version a number is no CPU count: it may be that version's magic. */
	if (trace_cmd_number(string, len, &cpus) < 0 || s->unknown_versions)
		return trace_cmd_end(out, CLOSE_protocol);
	s->protocol = PROTOCOL_TRACE_CMD_V1;
	reason = trace_cmd_check_cpus(s, in, cpus);
	if (reason)
		return trace_cmd_end(out, reason);
	s->cpus = cpus;
	return trace_cmd_go(s, out, len + 1, TRACE_CMD_V1_PAGE);
}

/*
 * Which V2 is it? 2015 sends 7 bytes together with the version, unasked, and TINIT (whose first
 * byte is 0 too) when it is answered; 2.7 sends the same 7 bytes and another 0 when it is answered,
 * and then waits for OK, which the other would take for a message.
 */
enum trace_cmd_action trace_cmd_hello_v2_magic(struct trace_cmd *s,
					       const struct trace_cmd_input *in,
					       struct trace_cmd_output *out)
{
	size_t n = in->len < MAGIC_V2_LEN ? in->len : MAGIC_V2_LEN;
	int64_t decide_ms = trace_cmd_silent_since(s, in) + TRACE_CMD_MAGIC_MS;
	bool silent = in->empty && in->now_ms >= decide_ms;

	if (n && memcmp(in->bytes, MAGIC_V2, n))
		return trace_cmd_end(out, CLOSE_protocol);
	if (n < MAGIC_V2_LEN)
		return trace_cmd_wait(out, TRACE_CMD_WAIT_BYTES);

	if (s->early || in->len > MAGIC_27_LEN || (in->len == MAGIC_27_LEN && in->bytes[7]) ||
	    (in->len == MAGIC_V2_LEN && silent)) {
		s->protocol = PROTOCOL_TRACE_CMD_V2_2015;
		return trace_cmd_go(s, out, MAGIC_V2_LEN, TRACE_CMD_TINIT);
	}
	if (silent)
		return trace_cmd_answer(s, out, MAGIC_27_LEN, TRACE_CMD_TINIT, REPLY("OK"));
	out->deadline_ms = decide_ms;
	return trace_cmd_wait(out, TRACE_CMD_WAIT_BYTES);
}

enum trace_cmd_action trace_cmd_hello_v3_magic(struct trace_cmd *s,
					       const struct trace_cmd_input *in,
					       struct trace_cmd_output *out)
{
	size_t n = in->len < MAGIC_V3_LEN ? in->len : MAGIC_V3_LEN;

	if (n && memcmp(in->bytes, MAGIC_V3, n))
		return trace_cmd_end(out, CLOSE_protocol);
	if (n < MAGIC_V3_LEN)
		return trace_cmd_wait(out, TRACE_CMD_WAIT_BYTES);
	return trace_cmd_answer(s, out, MAGIC_V3_LEN, TRACE_CMD_TINIT, REPLY("OK"));
}
