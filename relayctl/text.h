/* SPDX-License-Identifier: MIT */
/*
 * text.h - text from elsewhere (a daemon's JSON, a peer's name) made fit for a terminal.
 *
 * Control characters and what the locale cannot show become '?', so that no name moves the cursor;
 * without a UTF-8 locale the output is plain ASCII.
 * Thread: as setlocale(): one.
 */
#ifndef TRACERELAY_RELAYCTL_TEXT_H
#define TRACERELAY_RELAYCTL_TEXT_H

#include <stddef.h>

/* @ret_width  columns that it takes. Return malloc()ed, NULL without memory. */
char *text_clean(const char *s, size_t *ret_width);

/* Cut a clean text to at most so many columns; the columns it has then. */
size_t text_cut(char *clean, size_t columns);

#endif
