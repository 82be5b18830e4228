/* SPDX-License-Identifier: MIT */
/* discard.c - the texts of the causes in discard.h. */
#include "common/discard.h"

#include <assert.h>

static const struct {
	const char *name, *sentence;
} causes[DISCARD_COUNT] = {
#define AS_TEXT(ID, name, sentence) [DISCARD_##ID] = {#name, sentence},
	DISCARD_CAUSES(AS_TEXT)
#undef AS_TEXT
};

const char *discard_name(enum discard d)
{
	assert(d < DISCARD_COUNT);
	return causes[d].name;
}

const char *discard_sentence(enum discard d)
{
	assert(d < DISCARD_COUNT);
	return causes[d].sentence;
}
