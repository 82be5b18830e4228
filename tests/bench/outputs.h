/* SPDX-License-Identifier: MIT */
/*
 * outputs.h - the files that a server has left below a directory.
 *
 * Hidden names are passed over: a file below one is not yet under its final name.
 */
#ifndef TESTS_BENCH_OUTPUTS_H
#define TESTS_BENCH_OUTPUTS_H

/*
 * Call `each` for every regular file below `path` whose name ends in `suffix` (for `path` itself,
 * whatever its name, if it is a file). Stops when `each` returns other than 0, and returns that.
 * A file that goes away meanwhile is passed over. Negative errno if `path` cannot be read.
 */
int outputs_walk(const char *path, const char *suffix, int (*each)(const char *path, void *arg),
		 void *arg);

#endif
