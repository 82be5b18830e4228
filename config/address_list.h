/* SPDX-License-Identifier: MIT */
/*
 * address_list.h - addresses to listen on, as people write them: "0.0.0.0:12345, [::]:12345".
 *
 * Thread: any; no state.
 * Errors: -EINVAL with a phrase in `why` (ADDRESS_WHY_MAX bytes), -ENOMEM without one; outputs are
 *         written only on success.
 */
#ifndef TRACERELAY_CONFIG_ADDRESS_LIST_H
#define TRACERELAY_CONFIG_ADDRESS_LIST_H

#include "config/options.h"

#define ADDRESS_WHY_MAX 256

/*
 * Numeric only: IPv4:PORT or [IPv6]:PORT, [fe80::1%eth0]:PORT, between commas; "" is the empty
 * list. An address written twice is refused.
 * @max  most addresses
 */
int address_list_parse(const char *text, size_t max, struct option_addresses *ret,
		       char why[ADDRESS_WHY_MAX]);

void address_list_free(struct option_addresses *list);

/* One address as address_list_parse() takes it; the interface as a number, so that reading it again
 * gives the same even if the interface has gone. */
#define ADDRESS_TEXT_MAX 80
char *address_format(const struct sockaddr_storage *address, char buf[ADDRESS_TEXT_MAX]);

/* Host order. */
uint16_t address_port(const struct sockaddr_storage *address);

/* Could not both be bound: the same port (0 never is the same) and the same host, or one of them
 * every host of the family. */
bool address_conflicts(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

#endif
