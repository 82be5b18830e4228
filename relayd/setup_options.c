/* SPDX-License-Identifier: MIT */
/* setup_options.c - options from the memfd of sessiond-lite; see setup_options.h. */
#include "relayd/setup_options.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "common/log.h"
#include "config/options.h"
#include "consumer/birth.h"
#include "consumer/trace_dat_layout.h"
#include "relayd/relay.h"

/* From the first byte, whatever an earlier relayd did with the shared file offset. */
static json_t *read_json(int fd)
{
	struct stat sb;
	json_t *json;
	void *bytes;

	if (fstat(fd, &sb) < 0 || sb.st_size <= 0)
		return NULL;
	bytes = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return NULL;
	json = json_loadb(bytes, (size_t)sb.st_size, 0, NULL);
	munmap(bytes, (size_t)sb.st_size);
	return json;
}

static void set_limits(struct relay *r)
{
	const struct options *o = r->options;
	uint32_t cpus = o->limits.streams_per_peer;
	uint64_t metadata = trace_dat_layout_metadata_max(cpus) - BIRTH_SIZE;

	r->limits = (struct trace_cmd_limits){
		.handshake_timeout_ms = (int64_t)o->limits.handshake_timeout_ms,
		.metadata_timeout_ms = (int64_t)o->limits.metadata_timeout_ms,
		.stall_timeout_ms = (int64_t)o->limits.stall_timeout_ms,
		.metadata_max = o->limits.metadata < metadata ? o->limits.metadata : metadata,
		.cpus_max = cpus};
	r->lttng_limits = (struct lttng_limits){
		.minor = o->lttng.protocol.minor,
		.allow_clear = o->lttng.allow_clear,
		.message_max = o->limits.message,
		.handshake_timeout_ms = (int64_t)o->limits.handshake_timeout_ms,
		.stall_timeout_ms = (int64_t)o->limits.stall_timeout_ms,
		.max_stall_ms = (int64_t)o->lttng.max_stall_ms,
		.metadata_wait = o->lttng.metadata_wait};
}

int setup_options(struct relay *r, int fd)
{
	json_t *json = read_json(fd);
	char *error = NULL;
	int err;

	close(fd);
	if (!json)
		return -EPROTO;
	err = options_from_json(json, &r->options, &error);
	json_decref(json);
	if (err < 0) {
		log_error("options", "%s", error ? error : "no memory");
		free(error);
		return err;
	}
	(void)log_init(r->options->log.level, r->options->log.target);
	set_limits(r);
	return 0;
}

uint64_t setup_udp_linger_ms(const struct options *o)
{
	return o->trace_cmd.udp_linger_ms;
}
