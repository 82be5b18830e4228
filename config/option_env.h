/* SPDX-License-Identifier: MIT */
/*
 * option_env.h - the facts about this machine and this start that defaults depend on.
 *
 * Life:   a plain value; the pointers lead into the environment (getenv()) or to literals.
 * Thread: option_env_read() as getenv() and getpwuid(): before threads change the environment.
 */
#ifndef TRACERELAY_CONFIG_OPTION_ENV_H
#define TRACERELAY_CONFIG_OPTION_ENV_H

#include <stdbool.h>
#include <sys/types.h>

struct option_env {
	uid_t uid;               /* effective */
	char user[256];          /* its name; "" = it has none */
	char home[512];          /* $HOME, else from the user database; "" = none */
	const char *runtime_dir; /* $XDG_RUNTIME_DIR; NULL = unset */
	const char *state_home;  /* $XDG_STATE_HOME; NULL = unset */
	unsigned cpus;           /* that this process may run on, >= 1 */
	bool stderr_is_journal;  /* started by systemd */
	bool (*user_exists)(const char *name);
	const char *default_file; /* read if it exists and no other is named */
};

void option_env_read(struct option_env *ret);

/*
 * Default values, allocated; NULL = no memory.
 *   run_dir     /run/tracerelay; $XDG_RUNTIME_DIR/tracerelay when not root, and where that is not
 *               set /tmp/tracerelay-UID. Others can make that one first: who creates it must see
 *               that it is a directory, its own, and 0700. relayctl looks there too.
 *   output_dir  /var/lib/tracerelay; $XDG_STATE_HOME/tracerelay when not root, by default
 *               $HOME/.local/state/tracerelay
 *   run_user    "tracerelay" if root and there is such a user, else ""
 */
char *option_env_run_dir(const struct option_env *env);
char *option_env_output_dir(const struct option_env *env);
char *option_env_run_user(const struct option_env *env);

/* At most OPTION_WORKERS_MAX. */
#define OPTION_WORKERS_MAX 64
char *option_env_workers(const struct option_env *env);

/* "journal" or "stderr". */
char *option_env_log_target(const struct option_env *env);

#endif
