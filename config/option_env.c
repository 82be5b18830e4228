/* SPDX-License-Identifier: MIT */
/* option_env.c - what defaults depend on; see option_env.h. */
#include "config/option_env.h"

#include <pwd.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif

#define SERVICE_USER "tracerelay"

static bool user_exists(const char *name)
{
	return getpwnam(name) != NULL;
}

/* The CPU count of the affinity mask, which containers set; a mask larger than cpu_set_t is asked
 * for in growing sizes. */
static unsigned count_cpus(void)
{
	for (size_t cpus = 1024; cpus <= 65536; cpus *= 2) {
		cpu_set_t *set = CPU_ALLOC(cpus);
		size_t size = CPU_ALLOC_SIZE(cpus);
		int n = 0;

		if (set && sched_getaffinity(0, size, set) == 0)
			n = CPU_COUNT_S(size, set);
		CPU_FREE(set);
		if (n > 0)
			return (unsigned)n;
	}
	return 1;
}

/* The specification of the XDG directories says that a relative one is to be ignored. */
static const char *get_absolute(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

void option_env_read(struct option_env *ret)
{
	const char *home = get_absolute("HOME");
	const struct passwd *entry;
	struct option_env env = {
		.uid = geteuid(),
		.runtime_dir = get_absolute("XDG_RUNTIME_DIR"),
		.state_home = get_absolute("XDG_STATE_HOME"),
		.cpus = count_cpus(),
		.stderr_is_journal = log_stderr_is_journal(),
		.user_exists = user_exists,
		.default_file = SYSCONFDIR "/tracerelay/tracerelay.conf",
	};

	entry = getpwuid(env.uid);
	if (entry)
		snprintf(env.user, sizeof(env.user), "%s", entry->pw_name);
	if (!home && entry)
		home = entry->pw_dir;
	if (home && strlen(home) < sizeof(env.home))
		strcpy(env.home, home);
	*ret = env;
}

/* As asprintf(), but NULL on failure. */
__attribute__((format(printf, 1, 2))) static char *text(const char *format, ...)
{
	va_list args;
	char *s;
	int n;

	va_start(args, format);
	n = vasprintf(&s, format, args);
	va_end(args);
	return n < 0 ? NULL : s;
}

char *option_env_run_dir(const struct option_env *env)
{
	if (env->uid == 0)
		return text("/run/tracerelay");
	if (env->runtime_dir)
		return text("%s/tracerelay", env->runtime_dir);
	return text("/tmp/tracerelay-%u", (unsigned)env->uid);
}

char *option_env_output_dir(const struct option_env *env)
{
	if (env->uid == 0)
		return text("/var/lib/tracerelay");
	if (env->state_home)
		return text("%s/tracerelay", env->state_home);
	if (env->home[0])
		return text("%s/.local/state/tracerelay", env->home);
	return text("%s", ""); /* which is refused: the user must say */
}

char *option_env_run_user(const struct option_env *env)
{
	return text("%s", env->uid == 0 && env->user_exists(SERVICE_USER) ? SERVICE_USER : "");
}

char *option_env_workers(const struct option_env *env)
{
	return text("%u", env->cpus < OPTION_WORKERS_MAX ? env->cpus : OPTION_WORKERS_MAX);
}

char *option_env_log_target(const struct option_env *env)
{
	return text("%s", log_target_name(env->stderr_is_journal ? LOG_TARGET_JOURNAL
								 : LOG_TARGET_STDERR));
}
