/* SPDX-License-Identifier: MIT */
/* birth.c - the birth certificate of an open chunk; see birth.h. */
#include "consumer/birth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

int birth_write(int fd, const struct record *record, uint32_t cpus)
{
	struct record bare = *record;
	json_t *json;
	char *text;
	size_t len;
	ssize_t n;

	bare.streams = NULL;
	bare.stream_count = 0;
	json = json_pack("{s:i, s:o}", "cpus", (int)cpus, "record", record_to_json(&bare));
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text)
		return -ENOMEM;
	len = strlen(text) + 1; /* the NUL ends it */
	n = len <= BIRTH_SIZE ? pwrite(fd, text, len, (off_t)BIRTH_AT) : -1;
	free(text);
	if (len > BIRTH_SIZE)
		return -EMSGSIZE;
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC;
}

int birth_read(int fd, struct record *ret, uint32_t *ret_cpus)
{
	char *text = malloc(BIRTH_SIZE);
	json_t *json = NULL;
	json_int_t cpus = 0;
	int r = -ENODATA;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	n = pread(fd, text, BIRTH_SIZE, (off_t)BIRTH_AT);
	if (n < 0)
		r = -errno;
	else if (n > 0 && text[0] && memchr(text, '\0', (size_t)n))
		json = json_loads(text, 0, NULL);
	free(text);
	if (!json)
		return r;
	cpus = json_integer_value(json_object_get(json, "cpus"));
	r = cpus > 0 && cpus <= UINT16_MAX ? record_from_json(json_object_get(json, "record"), ret)
					   : -EBADMSG;
	json_decref(json);
	if (r == 0)
		*ret_cpus = (uint32_t)cpus;
	return r;
}
