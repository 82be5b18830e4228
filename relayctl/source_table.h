/* SPDX-License-Identifier: MIT */
/* source_table.h - the sources of a status document as a table. */
#ifndef TRACERELAY_RELAYCTL_SOURCE_TABLE_H
#define TRACERELAY_RELAYCTL_SOURCE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "relayctl/cli.h"
#include "relayctl/table.h"

/* Those of a session, or all with NULL. The exit status. */
int source_table_print(const struct cli *cli, const json_t *document, const char *session);

/* ---- shared with others who show sources or streams ---- */

/* What the tracer and this host lost: "12", or "12+" where uncounted losses come on top, "12 + 3
 * pkt" where LTTng overwrote packets; nothing where nobody tells. */
void source_table_lost(struct table *t, const json_t *ledger);
/* Those that LTTng overwrote, whenever it was. */
uint64_t source_table_lost_packets(const json_t *ledger);
/* A figure, nothing where it does not apply. */
void source_table_number(struct table *t, const json_t *object, const char *key);
/* Bytes; trouble if there are any. */
void source_table_discarded(struct table *t, const json_t *ledger);
void source_table_bytes(struct table *t, uint64_t bytes);
void source_table_rate(struct table *t, uint64_t rate);
/* The state, marked where somebody should look. */
void source_table_state(struct table *t, const json_t *source);
/* The node name, else the peer's address. */
const char *source_table_host(const json_t *source);

#endif
