/* SPDX-License-Identifier: MIT */
/* options_rig.h - snapshots made from texts, on a machine that is always the same. */
#ifndef TRACERELAY_TESTS_UNIT_OPTIONS_RIG_H
#define TRACERELAY_TESTS_UNIT_OPTIONS_RIG_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/options.h"

static inline bool rig_user_exists(const char *name)
{
	return strcmp(name, "root") == 0 || strcmp(name, "tracerelay") == 0;
}

/* A start by root outside systemd; there is no default file. */
static inline struct option_env rig_root(void)
{
	return (struct option_env){.user = "root",
				   .home = "/root",
				   .cpus = 8,
				   .user_exists = rig_user_exists,
				   .default_file = "/nonexistent/tracerelay.conf"};
}

/* A start by user 1000. */
static inline struct option_env rig_user(void)
{
	struct option_env env = rig_root();

	env.uid = 1000;
	strcpy(env.user, "eve");
	strcpy(env.home, "/home/eve");
	env.runtime_dir = "/run/user/1000";
	return env;
}

/* A configuration file of that text, as /dev/fd/N; never closed, as the test's process ends soon.
 */
static inline const char *rig_file(const char *text)
{
	static char path[32];
	int fds[2];

	/* A pipe: texts are short, and nothing is left behind. */
	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
	close(fds[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", fds[0]);
	return path;
}

/* @file  text; NULL = none.  @set  one --set; NULL = none */
static inline int rig_try(const struct option_env *env, const char *file, const char *set,
			  struct options **ret, char **ret_error)
{
	struct options_source source = {.file = file ? rig_file(file) : NULL,
					.sets = &set,
					.n_sets = set != NULL,
					.env = env};

	return options_load(&source, ret, ret_error);
}

static inline struct options *rig_load(const struct option_env *env, const char *file,
				       const char *set)
{
	struct options *o = NULL;
	char *error = NULL;

	cr_assert_eq(rig_try(env, file, set, &o, &error), 0, "%s", error);
	cr_assert_null(error);
	return o;
}

/* The sentence of a refusal, to be freed. The path /dev/fd/N in it is shown as FILE. */
static inline char *rig_refused(const struct option_env *env, const char *file, const char *set)
{
	struct options *o = (void *)&o;
	char *error = NULL, *fd;
	int r = rig_try(env, file, set, &o, &error);

	cr_assert_eq(r, -EINVAL, "%s %s: %d", file ? file : "", set ? set : "", r);
	cr_assert_eq(o, (void *)&o, "output on failure");
	cr_assert_not_null(error);
	fd = strstr(error, "/dev/fd/");
	if (fd) {
		size_t digits = strspn(fd + 8, "0123456789");

		memcpy(fd, "FILE", 4);
		memmove(fd + 4, fd + 8 + digits, strlen(fd + 8 + digits) + 1);
	}
	return error;
}

static inline void rig_assert_refused(const char *file, const char *set, const char *want)
{
	struct option_env env = rig_root();
	char *error = rig_refused(&env, file, set);

	cr_assert_str_eq(error, want);
	free(error);
}

#endif
