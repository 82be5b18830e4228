/* SPDX-License-Identifier: MIT */
/*
 * place_name.h - names of directories made of what peers say.
 * Thread: any.
 */
#ifndef TRACERELAY_CONSUMER_PLACE_NAME_H
#define TRACERELAY_CONSUMER_PLACE_NAME_H

#include <stddef.h>

/*
 * A path component of letters, digits, '.', '_' and '-' only, without a leading '.' or '-'; other
 * characters become '_', what does not fit is cut. "" stays "". Nothing made so leaves a directory.
 */
void place_name_safe(const char *from, char *to, size_t cap);

/* mkdir -p below the directory: mode 0750. 0 or negative errno. Does I/O. */
int place_name_make(int output_fd, const char *dir);

#endif
