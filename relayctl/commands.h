/* SPDX-License-Identifier: MIT */
/* commands.h - the handlers that the table in command.c names. All give the exit status. */
#ifndef TRACERELAY_RELAYCTL_COMMANDS_H
#define TRACERELAY_RELAYCTL_COMMANDS_H

#include "relayctl/cli.h"

/* session_commands.c */
int run_create_session(struct cli *cli);
int run_list(struct cli *cli);
int run_show(struct cli *cli);
int run_start(struct cli *cli);
int run_stop(struct cli *cli);
int run_rotate(struct cli *cli);
int run_destroy_session(struct cli *cli);

/* status_commands.c */
int run_sources(struct cli *cli);
int run_streams(struct cli *cli);
int run_status(struct cli *cli);

/* daemon_commands.c */
int run_config(struct cli *cli);
int run_version(struct cli *cli);
int run_help(struct cli *cli);

/* top.c */
int run_top(struct cli *cli);

#endif
