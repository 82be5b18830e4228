/* SPDX-License-Identifier: MIT */
/* options.c - which changes a reload may make. */
#include <errno.h>

#include "config/options.h"
#include "tests/unit/options_rig.h"

static char *check(const char *now_file, const char *next_file, int want)
{
	struct option_env env = rig_root();
	struct options *now = rig_load(&env, now_file, NULL);
	struct options *next = rig_load(&env, next_file, NULL);
	char *error = NULL;

	cr_assert_eq(options_check_reload(now, next, &error), want);
	options_free(now);
	options_free(next);
	return error;
}

Test(options, reload_may_change_what_is_reloadable)
{
	cr_assert_null(check("", "[limits]\nmetadata = 1M\n[log]\nlevel = debug\n", 0));
}

Test(options, reload_may_write_the_same_otherwise)
{
	cr_assert_null(check("[limits]\nsources = 1024\n",
			     "[limits]\n\nsources = 01024\n[trace-cmd]\nlisten = "
			     "0.0.0.0:12345,[0::0]:12345\n",
			     0));
}

Test(options, reload_refuses_the_rest_by_name)
{
	char *error = check("", "[run]\ndir = /x\n[limits]\nsources = 5\nmetadata = 1M\n", -EBUSY);

	cr_assert_str_eq(error, "only a restart can change run.dir, limits.sources");
	free(error);
}
