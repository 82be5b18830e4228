/* SPDX-License-Identifier: MIT */
/* address_list.c - addresses to listen on; see address_list.h. */
#include "config/address_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"

static struct addr to_addr(const struct sockaddr_storage *address)
{
	struct addr a = {0};

	/* Made by address_list_parse(), so it is AF_INET or AF_INET6. */
	(void)addr_from_sockaddr((const struct sockaddr *)address, sizeof(*address), &a);
	return a;
}

/* Is there a port written, be it 0? */
static bool has_port(const char *text)
{
	const char *colon = strrchr(text, ':');

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return false;
	return text[0] == '[' ? colon[-1] == ']' : strchr(text, ':') == colon;
}

static int parse_one(const char *text, struct sockaddr_storage *ret, char why[ADDRESS_WHY_MAX])
{
	struct addr a;
	socklen_t len;
	int r;

	if (!*text) {
		snprintf(why, ADDRESS_WHY_MAX,
			 "has nothing between two commas, or a comma too many");
		return -EINVAL;
	}
	r = addr_parse(text, &a);
	if (r == -ENODEV) {
		snprintf(why, ADDRESS_WHY_MAX,
			 "names an interface that does not exist in \"%.90s\"", text);
		return -EINVAL;
	}
	if (r == 0 && !has_port(text)) {
		snprintf(why, ADDRESS_WHY_MAX, "has no port in \"%.90s\"", text);
		return -EINVAL;
	}
	if (r < 0 || addr_to_sockaddr(&a, AF_UNSPEC, ret, &len) < 0) {
		snprintf(why, ADDRESS_WHY_MAX, "has no numeric address with a port in \"%.90s\"",
			 text);
		return -EINVAL;
	}
	return 0;
}

static int append(struct option_addresses *list, size_t max, const char *text,
		  char why[ADDRESS_WHY_MAX])
{
	struct sockaddr_storage address = {0}, *grown;
	int r = parse_one(text, &address, why);

	if (r < 0)
		return r;
	for (size_t i = 0; i < list->count; i++) {
		struct addr a = to_addr(&list->at[i]), b = to_addr(&address);

		if (a.port == 0 || !addr_equal(&a, &b))
			continue;
		snprintf(why, ADDRESS_WHY_MAX, "has \"%.90s\" twice", text);
		return -EINVAL;
	}
	if (list->count == max) {
		snprintf(why, ADDRESS_WHY_MAX, "has more than %zu addresses", max);
		return -EINVAL;
	}
	grown = reallocarray(list->at, list->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->at = grown;
	list->at[list->count++] = address;
	return 0;
}

int address_list_parse(const char *text, size_t max, struct option_addresses *ret,
		       char why[ADDRESS_WHY_MAX])
{
	static const char blanks[] = " \t";
	struct option_addresses list = {0};
	char *copy = strdup(text + strspn(text, blanks));
	char *rest = copy;
	int r = 0;

	if (!copy)
		return -ENOMEM;
	while (*copy && rest && r == 0) {
		char *one = strsep(&rest, ",");
		size_t len;

		one += strspn(one, blanks);
		for (len = strlen(one); len > 0 && strchr(blanks, one[len - 1]); len--)
			one[len - 1] = '\0';
		r = append(&list, max, one, why);
	}
	free(copy);
	if (r < 0) {
		address_list_free(&list);
		return r;
	}
	*ret = list;
	return 0;
}

void address_list_free(struct option_addresses *list)
{
	free(list->at);
	*list = (struct option_addresses){0};
}

char *address_format(const struct sockaddr_storage *address, char buf[ADDRESS_TEXT_MAX])
{
	struct addr a = to_addr(address);
	char host[ADDR_TEXT_MAX];
	bool v4 = addr_is_v4(&a);

	/* Not addr_format(), which leaves port 0 out. */
	addr_format_host(&a, host);
	snprintf(buf, ADDRESS_TEXT_MAX, "%s%.64s%s:%u", v4 ? "" : "[", host, v4 ? "" : "]", a.port);
	return buf;
}

uint16_t address_port(const struct sockaddr_storage *address)
{
	return to_addr(address).port;
}

static bool is_every_host(const struct addr *a)
{
	static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff}, v6[16];

	return memcmp(a->ip, addr_is_v4(a) ? v4 : v6, sizeof(v4)) == 0;
}

bool address_conflicts(const struct sockaddr_storage *a_, const struct sockaddr_storage *b_)
{
	struct addr a = to_addr(a_), b = to_addr(b_);

	if (a.port == 0 || a.port != b.port || addr_is_v4(&a) != addr_is_v4(&b))
		return false;
	return addr_same_host(&a, &b) || is_every_host(&a) || is_every_host(&b);
}
