/* SPDX-License-Identifier: MIT */
/* workplace.c - place.h applied to the two directories, with words for what fails. */
#include "sessiond-lite/workplace.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "sessiond-lite/complaint.h"

static int open_dir(const char *option, const char *path, mode_t mode,
		    const struct place_user *user, int *ret_fd)
{
	int r = place_open_dir(path, mode, user, ret_fd);

	if (r == -EPERM)
		return complaint(r, "%s: %s belongs to somebody else, or others may write there",
				 option, path);
	if (r < 0)
		return complaint(r, "%s: cannot use %s: %s", option, path, strerror(-r));
	return 0;
}

int workplace_open(const struct options *options, struct workplace *ret)
{
	struct workplace *w = ret;
	int r;

	*w = (struct workplace){.options = options,
				.run_dir = -1,
				.run_lock = -1,
				.output_dir = -1,
				.output_lock = -1};
	r = place_find_user(options->run.user, &w->user);
	if (r == -ENOENT)
		return complaint(r, "run.user: there is no user %s", options->run.user);
	if (r < 0)
		return complaint(r, "run.user: cannot become %s: %s", options->run.user,
				 strerror(-r));
	r = open_dir("run.dir", options->run.dir, 0755, &w->user, &w->run_dir);
	if (r == 0)
		r = open_dir("output.dir", options->output.dir, 0750, &w->user, &w->output_dir);
	return r;
}

int workplace_become(const struct workplace *w)
{
	int r = place_become(&w->user);

	if (r < 0)
		return complaint(r, "run.user: cannot become %s: %s", w->user.name, strerror(-r));
	return 0;
}

static int lock(const char *option, int dir_fd, const char *dir, const char *name, int *ret_fd)
{
	pid_t holder;
	int r = place_lock(dir_fd, dir, name, ret_fd, &holder);

	if (r == -EBUSY)
		return complaint(
			r,
			"%s: %s is in use by another sessiond-lite (process %d); end that, "
			"or choose another directory",
			option, dir, (int)holder);
	if (r < 0)
		return complaint(r, "%s: cannot lock %s/%s: %s", option, dir, name, strerror(-r));
	return 0;
}

int workplace_lock(struct workplace *w)
{
	int r = lock("run.dir", w->run_dir, w->options->run.dir, "lock", &w->run_lock);

	if (r == 0)
		r = lock("output.dir", w->output_dir, w->options->output.dir, ".lock",
			 &w->output_lock);
	return r;
}

void workplace_close(struct workplace *w)
{
	int *fds[] = {&w->output_lock, &w->output_dir, &w->run_lock, &w->run_dir};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
