/* SPDX-License-Identifier: MIT */
/* option_env.c - defaults that depend on the machine. */
#include "config/option_env.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool everybody_exists(const char *name)
{
	(void)name;
	return true;
}

static bool nobody_exists(const char *name)
{
	(void)name;
	return false;
}

static void assert_text(char *got, const char *want)
{
	cr_assert_str_eq(got, want);
	free(got);
}

Test(option_env, root)
{
	struct option_env env = {.user = "root",
				 .home = "/root",
				 .runtime_dir = "/run/user/0",
				 .state_home = "/root/state",
				 .cpus = 4,
				 .user_exists = everybody_exists};

	assert_text(option_env_run_dir(&env), "/run/tracerelay");
	assert_text(option_env_output_dir(&env), "/var/lib/tracerelay");
	assert_text(option_env_run_user(&env), "tracerelay");
	env.user_exists = nobody_exists;
	assert_text(option_env_run_user(&env), "");
}

Test(option_env, not_root)
{
	struct option_env env = {.uid = 1000,
				 .user = "eve",
				 .home = "/home/eve",
				 .runtime_dir = "/run/user/1000",
				 .state_home = "/home/eve/state",
				 .user_exists = everybody_exists};

	assert_text(option_env_run_dir(&env), "/run/user/1000/tracerelay");
	assert_text(option_env_output_dir(&env), "/home/eve/state/tracerelay");
	assert_text(option_env_run_user(&env), "");
	env.runtime_dir = env.state_home = NULL;
	assert_text(option_env_run_dir(&env), "/tmp/tracerelay-1000");
	assert_text(option_env_output_dir(&env), "/home/eve/.local/state/tracerelay");
	env.home[0] = '\0';
	assert_text(option_env_output_dir(&env), "");
}

Test(option_env, workers_and_log)
{
	struct option_env env = {.cpus = 3};

	assert_text(option_env_workers(&env), "3");
	env.cpus = 1024;
	assert_text(option_env_workers(&env), "64");
	assert_text(option_env_log_target(&env), "stderr");
	env.stderr_is_journal = true;
	assert_text(option_env_log_target(&env), "journal");
}

Test(option_env, of_this_machine)
{
	struct option_env env;
	cpu_set_t one;

	setenv("XDG_RUNTIME_DIR", "/run/x", 1);
	setenv("XDG_STATE_HOME", "relative", 1);
	setenv("HOME", "/home/x", 1);
	option_env_read(&env);
	cr_assert_eq(env.uid, geteuid());
	cr_assert_str_eq(env.runtime_dir, "/run/x");
	cr_assert_null(env.state_home, "the specification wants relative ones to be ignored");
	cr_assert_str_eq(env.home, "/home/x");
	cr_assert_geq(env.cpus, 1);
	cr_assert_not_null(strstr(env.default_file, "/tracerelay/tracerelay.conf"));
	cr_assert(env.user_exists("root"));
	cr_assert_not(env.user_exists("no such user"));

	/* A container's share of the CPUs counts, not the machine's. */
	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("HOME");
	option_env_read(&env);
	cr_assert_eq(env.cpus, 1);
	cr_assert_null(env.runtime_dir);
	cr_assert_neq(env.home[0], '\0', "from the user database");
}
