/* SPDX-License-Identifier: MIT */
/* main.c - relayctl, the one command line of a relay. Everything is in cli.h and command.h. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>

#include "relayctl/cli.h"

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN); /* "relayctl streams | head" is no mishap */
	return cli_run(argc, argv, stdout, stderr);
}
