/* SPDX-License-Identifier: MIT */
/* main.c - the command line of sessiond-lite. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "config/options.h"
#include "sessiond-lite/background.h"
#include "sessiond-lite/daemon.h"

#define WRONG_USAGE 2

static void print_help(void)
{
	puts("usage: sessiond-lite [--config FILE] [--set SECTION.KEY=VALUE]... [--daemonize]\n"
	     "\n"
	     "The relay for trace-cmd record -N and LTTng: accepts clients, keeps the sessions, "
	     "and runs\n"
	     "relayd, which stores what they send. Prints one line \"ready ...\" when it serves.\n"
	     "\n"
	     "  --config FILE            read options from FILE\n"
	     "  --set SECTION.KEY=VALUE  set one option; stronger than the file\n"
	     "  --daemonize              go to the background when ready\n"
	     "  --help, --version        print this, the version\n"
	     "\n"
	     "SIGTERM finishes the open traces and ends both.\n");
	options_print_help(stdout);
}

struct arguments {
	const char *config;
	const char **sets;
	size_t n_sets;
	bool daemonize;
};

/* Return -1 to go on, else the exit status. */
static int parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'}, {"set", required_argument, NULL, 's'},
		{"daemonize", no_argument, NULL, 'd'},    {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0}};
	int c;

	ret->sets = calloc((size_t)argc, sizeof(*ret->sets));
	if (!ret->sets)
		return EXIT_FAILURE;
	while ((c = getopt_long(argc, argv, "c:s:dhV", known, NULL)) != -1) {
		switch (c) {
		case 'c':
			ret->config = optarg;
			break;
		case 's':
			ret->sets[ret->n_sets++] = optarg;
			break;
		case 'd':
			ret->daemonize = true;
			break;
		case 'h':
			print_help();
			return EXIT_SUCCESS;
		case 'V':
			puts("sessiond-lite (tracerelay) " PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			fputs("sessiond-lite: see --help\n", stderr);
			return WRONG_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sessiond-lite: unknown argument %s; see --help\n", argv[optind]);
		return WRONG_USAGE;
	}
	return -1;
}

static int run(const struct options *options, bool daemonize)
{
	struct daemon *daemon;
	int report = -1;
	int r;

	if (daemonize) {
		report = background_start();
		if (report < 0) {
			fprintf(stderr, "sessiond-lite: --daemonize: %s\n", strerror(-report));
			return EXIT_FAILURE;
		}
	}
	r = log_init(options->log.level, options->log.target);
	if (r == -EOPNOTSUPP)
		log_warning("no-journal", "built without libsystemd: logging to stderr");
	if (daemon_create(options, report, &daemon) < 0)
		return EXIT_FAILURE;
	r = daemon_run(daemon);
	daemon_free(daemon);
	return r;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {0};
	struct options_source source = {0};
	struct options *options;
	char *error = NULL;
	int r = parse(argc, argv, &arguments);

	if (r >= 0)
		goto out;
	source.file = arguments.config;
	source.sets = arguments.sets;
	source.n_sets = arguments.n_sets;
	r = options_load(&source, &options, &error);
	if (r < 0) {
		fprintf(stderr, "sessiond-lite: %s\n", error ? error : strerror(-r));
		free(error);
		r = WRONG_USAGE;
		goto out;
	}
	r = run(options, arguments.daemonize);
	options_free(options);
out:
	free(arguments.sets);
	return r;
}
