/* SPDX-License-Identifier: MIT */
/*
 * trace_dat_meta.c - see trace_dat_meta.h.
 *
 * v6 is a row of blocks, read straight down. v7 is a set of sections that options name; the options
 * form a chain. Work is linear: a block or option is visited once, and a chain that visits more
 * bytes than there are is a loop.
 */
#include "consumer/trace_dat_meta.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "common/wire.h"

static const char magic[TRACE_DAT_VERSION_AT] = {0x17, 0x08, 0x44, 't', 'r',
						 'a',  'c',  'i',  'n', 'g'};

#define MARK_SIZE       10 /* "options  ", "flyrecord", with their NUL */
#define NAME_MAX_BYTES  4096
#define SECTION_HEADER  16
#define HEADER_INFO_MAX 16384 /* plain bytes of that section; real ones have 500 */
#define HEADER_PAGE_MAX 4096

enum option_id {
	OPTION_DONE = 0,
	OPTION_BUFFER = 3,
	OPTION_CLOCK = 4,
	OPTION_UNAME = 5,
	OPTION_CPUCOUNT = 8,
	OPTION_STRINGS = 15,
	OPTION_HEADER_INFO = 16,
	OPTION_CMDLINES = 21,
	OPTION_BUFFER_TEXT = 22,
	OPTION_BTF = 23,
	OPTION_MODULES = 25,
};

enum section_id { SECTION_OPTIONS = 0 };
#define SECTION_COMPRESSED 1u

/* Ids of options that name a section by a u64 offset. */
static bool names_section(unsigned id)
{
	return (id >= OPTION_STRINGS && id <= OPTION_BUFFER_TEXT) || id == OPTION_BTF ||
	       id == OPTION_MODULES;
}

struct parser {
	const uint8_t *bytes;
	size_t len;
	struct trace_dat_meta m;
};

static uint64_t position(const struct parser *p, const struct wire_reader *r)
{
	return (uint64_t)(r->at - p->bytes);
}

/* Notes what is missing; 0, since that is a finding and no failure. */
static int incomplete(struct parser *p, const char *why, uint64_t where)
{
	p->m.complete = false;
	snprintf(p->m.why, sizeof(p->m.why), "%s", why);
	p->m.where = where;
	return 0;
}

/* A word from a peer as a C string: cut to fit, '?' for what is not printable. */
static void copy_word(char *ret, size_t size, const uint8_t *from, size_t len)
{
	size_t n = len < size - 1 ? len : size - 1;

	for (size_t i = 0; i < n; i++)
		ret[i] = from[i] > 0x20 && from[i] < 0x7f ? (char)from[i] : '?';
	ret[n] = '\0';
}

/* ---- texts ---- */

/* The number behind @key within the line that starts at @line; false if there is none. */
static bool field_number(const char *line, const char *key, unsigned long *ret)
{
	size_t line_len = strcspn(line, "\n");
	const char *at = strstr(line, key);
	char *end;

	if (!at || at >= line + line_len)
		return false;
	at += strlen(key);
	*ret = strtoul(at, &end, 10);
	return end != at;
}

/* header_page as the kernel prints it: a line a field, "field: TYPE NAME; offset:N; size:N; ...".
 */
static void read_header_page(struct parser *p, const uint8_t *text, size_t len)
{
	char copy[HEADER_PAGE_MAX + 1];
	const char *commit, *data;
	unsigned long commit_size, data_offset, data_size;

	if (len > HEADER_PAGE_MAX)
		return;
	memcpy(copy, text, len);
	copy[len] = '\0';
	commit = strstr(copy, " commit;");
	data = strstr(copy, " data;");
	if (!commit || !data || !field_number(commit, "size:", &commit_size) ||
	    !field_number(data, "offset:", &data_offset) ||
	    !field_number(data, "size:", &data_size))
		return;
	if ((commit_size != 4 && commit_size != 8) || data_offset > UINT16_MAX ||
	    data_size > UINT32_MAX - UINT16_MAX)
		return;
	p->m.header_page_known = true;
	p->m.commit_size = (uint8_t)commit_size;
	p->m.subbuf_size = (uint32_t)(data_offset + data_size);
}

/* The block pair "header_page", "header_event". Returns false if it is not what stands there. */
static bool read_header_info(struct parser *p, struct wire_reader *r)
{
	bool big = p->m.big_endian;
	struct wire_reader block;
	const char *name = wire_get_str(r, NAME_MAX_BYTES, NULL);

	if (!r->err && strcmp(name, "header_page") != 0)
		return false;
	block = wire_sub(r, wire_get_u64_as(r, big));
	if (!block.err)
		read_header_page(p, block.at, block.left);
	name = wire_get_str(r, NAME_MAX_BYTES, NULL);
	if (!r->err && strcmp(name, "header_event") != 0)
		return false;
	wire_skip(r, wire_get_u64_as(r, big));
	return true;
}

/* uname: "SYSTEM NODE RELEASE MACHINE". */
static void read_uname(struct parser *p, const uint8_t *text, size_t len)
{
	const uint8_t *end = text + strnlen((const char *)text, len);
	const uint8_t *node = memchr(text, ' ', (size_t)(end - text));
	const uint8_t *stop;

	if (!node)
		return;
	node++;
	stop = memchr(node, ' ', (size_t)(end - node));
	copy_word(p->m.host, sizeof(p->m.host), node, (size_t)((stop ? stop : end) - node));
}

/* trace_clock: "[local] global counter ..." */
static void read_clock(struct parser *p, const uint8_t *text, size_t len)
{
	const uint8_t *open = len ? memchr(text, '[', len) : NULL;
	const uint8_t *close = open ? memchr(open, ']', len - (size_t)(open - text)) : NULL;

	if (!close || close == open + 1)
		return;
	copy_word(p->m.clock, sizeof(p->m.clock), open + 1, (size_t)(close - open - 1));
	p->m.clock_known = true;
}

/* ---- v6 ---- */

/* The blocks up to printk formats. Returns the name of the one that is cut short, or NULL. */
static const char *skip_v6_formats(struct parser *p, struct wire_reader *r)
{
	bool big = p->m.big_endian;
	uint32_t count, events;

	count = wire_get_u32_as(r, big);
	for (uint32_t i = 0; i < count && !r->err; i++)
		wire_skip(r, wire_get_u64_as(r, big));
	if (r->err)
		return "ends inside the ftrace formats";
	count = wire_get_u32_as(r, big);
	for (uint32_t i = 0; i < count && !r->err; i++) {
		wire_get_str(r, NAME_MAX_BYTES, NULL);
		events = wire_get_u32_as(r, big);
		for (uint32_t e = 0; e < events && !r->err; e++)
			wire_skip(r, wire_get_u64_as(r, big));
	}
	if (r->err)
		return "ends inside the event formats";
	wire_skip(r, wire_get_u32_as(r, big));
	if (r->err)
		return "ends inside kallsyms";
	wire_skip(r, wire_get_u32_as(r, big));
	if (r->err)
		return "ends inside the printk formats";
	return NULL;
}

static bool at_mark(const struct wire_reader *r, const char *mark)
{
	return wire_left(r) >= MARK_SIZE && memcmp(r->at, mark, MARK_SIZE) == 0;
}

static void read_v6_options(struct parser *p, struct wire_reader *r)
{
	bool big = p->m.big_endian;

	wire_skip(r, MARK_SIZE);
	while (!r->err) {
		unsigned id = wire_get_u16_as(r, big);
		struct wire_reader data;

		if (id == OPTION_DONE)
			return;
		data = wire_sub(r, wire_get_u32_as(r, big));
		if (data.err)
			return;
		if (id == OPTION_CLOCK)
			read_clock(p, data.at, data.left);
		else if (id == OPTION_UNAME)
			read_uname(p, data.at, data.left);
	}
}

static int parse_v6(struct parser *p, struct wire_reader r)
{
	bool big = p->m.big_endian;
	const char *cut;
	uint64_t part;

	snprintf(p->m.compression, sizeof(p->m.compression), "none");
	if (!read_header_info(p, &r))
		return -EBADMSG;
	if (r.err)
		return incomplete(p, "ends inside header_page and header_event", p->len);
	cut = skip_v6_formats(p, &r);
	if (cut)
		return incomplete(p, cut, p->len);

	p->m.length = position(p, &r);
	p->m.missing = TRACE_DAT_MISSING_CMDLINES;
	if (wire_left(&r) == 0)
		return 0;
	wire_skip(&r, wire_get_u64_as(&r, big));
	if (r.err)
		return incomplete(p, "ends inside the command lines", p->len);

	p->m.length = position(p, &r);
	p->m.missing = TRACE_DAT_MISSING_CPUS;
	if (wire_left(&r) == 0)
		return 0;
	part = p->m.length;
	p->m.cpus = wire_get_u32_as(&r, big);
	if (r.err)
		return incomplete(p, "ends inside the CPU count", p->len);
	/* A count of 0 with nothing behind it: the hole in front of the data, in a chunk whose
	 * writer was killed before it wrote its tail. */
	if (p->m.cpus == 0 && !at_mark(&r, "options  ") && !at_mark(&r, "flyrecord"))
		return 0;
	p->m.cpus_at = part;

	if (at_mark(&r, "options  ")) {
		read_v6_options(p, &r);
		if (r.err)
			return incomplete(p, "ends inside the options", p->len);
	} else if (wire_left(&r) > 0 && wire_left(&r) < MARK_SIZE) {
		return incomplete(p, "ends inside the options", p->len);
	}
	p->m.length = position(p, &r);
	p->m.missing = TRACE_DAT_MISSING_NOTHING;
	if (at_mark(&r, "flyrecord")) {
		p->m.table_at = p->m.length + MARK_SIZE;
		p->m.table_entries = p->m.cpus;
	}
	return 0;
}

/* ---- v7 ---- */

struct section {
	unsigned id, flags;
	uint64_t end; /* file offset behind it */
	struct wire_reader body;
};

/* The section whose header is at @offset; false if it does not lie within the bytes. */
static bool read_section(const struct parser *p, uint64_t offset, struct section *ret)
{
	bool big = p->m.big_endian;
	struct wire_reader r = wire_reader_init(p->bytes, p->len);

	wire_skip(&r, offset);
	ret->id = wire_get_u16_as(&r, big);
	ret->flags = wire_get_u16_as(&r, big);
	wire_skip(&r, 4); /* a description in the strings section */
	ret->body = wire_sub(&r, wire_get_u64_as(&r, big));
	ret->end = position(p, &r);
	return !r.err;
}

/* Plain bytes of a compressed section's body, at most @cap; 0 if that does not work out. */
static size_t decompress(const struct parser *p, struct wire_reader body, uint8_t *out, size_t cap)
{
	uint32_t packed = wire_get_u32_as(&body, p->m.big_endian);
	uint32_t plain = wire_get_u32_as(&body, p->m.big_endian);
	const uint8_t *from = wire_take(&body, packed);

	if (!from || plain > cap)
		return 0;
	if (strcmp(p->m.compression, "zstd") == 0) {
		size_t n = ZSTD_decompress(out, cap, from, packed);

		return ZSTD_isError(n) ? 0 : n;
	}
	if (strcmp(p->m.compression, "zlib") == 0) {
		uLongf n = cap;

		return uncompress(out, &n, from, packed) == Z_OK ? n : 0;
	}
	return 0;
}

static void read_header_info_section(struct parser *p, const struct section *s)
{
	uint8_t plain[HEADER_INFO_MAX];
	struct wire_reader body = s->body;

	if (s->flags & SECTION_COMPRESSED)
		body = wire_reader_init(plain, decompress(p, body, plain, sizeof(plain)));
	/* What cannot be read here stays unknown; the pages themselves will tell. */
	(void)read_header_info(p, &body);
}

/* The table of a BUFFER option. False if it contradicts itself. */
static bool read_buffer_option(struct parser *p, struct wire_reader data)
{
	bool big = p->m.big_endian;
	const char *name;
	uint32_t count;

	wire_skip(&data, 8); /* its section; readers take only the flags from there */
	name = wire_get_str(&data, NAME_MAX_BYTES, NULL);
	wire_get_str(&data, NAME_MAX_BYTES, NULL);
	wire_skip(&data, 4); /* page size, ignored by readers */
	count = wire_get_u32_as(&data, big);
	if (data.err || count > wire_left(&data) / 20)
		return false;
	if (name[0] == '\0') {
		p->m.table_at = position(p, &data);
		p->m.table_entries = count;
	}
	return true;
}

/* One options section. Returns 0 or -EBADMSG; @ret_next is where the chain goes on, 0 at its end;
 * @ret_missing names the section that an option wants and that is not there, 0 if none. */
static int read_v7_options(struct parser *p, struct wire_reader body, uint64_t *ret_next,
			   uint64_t *ret_missing)
{
	bool big = p->m.big_endian;

	p->m.table_at = 0;
	for (;;) {
		unsigned id = wire_get_u16_as(&body, big);
		struct wire_reader data = wire_sub(&body, wire_get_u32_as(&body, big));
		uint64_t at = position(p, &data);
		struct section s;

		if (data.err)
			return -EBADMSG;
		if (id == OPTION_DONE) {
			p->m.done_at = at;
			*ret_next = wire_get_u64_as(&data, big);
			return data.err;
		}
		if (id == OPTION_CLOCK) {
			read_clock(p, data.at, data.left);
		} else if (id == OPTION_UNAME) {
			read_uname(p, data.at, data.left);
		} else if (id == OPTION_CPUCOUNT && data.left >= 4) {
			p->m.cpus = wire_get_u32_as(&data, big);
			p->m.cpus_at = at;
		} else if (id == OPTION_BUFFER) {
			if (!read_buffer_option(p, data))
				return -EBADMSG;
		} else if (names_section(id) && data.left >= 8) {
			uint64_t offset = wire_get_u64_as(&data, big);

			/* What old tools name by these ids is checked, later ones are taken as they
			 * are. */
			if (!read_section(p, offset, &s) ||
			    (id >= OPTION_HEADER_INFO && id <= OPTION_CMDLINES && s.id != id)) {
				*ret_missing = offset;
				continue;
			}
			if (s.end > p->m.length)
				p->m.length = s.end;
			if (id == OPTION_HEADER_INFO)
				read_header_info_section(p, &s);
		}
	}
}

/* Where the row of sections that starts at @at ends: at a hole, or at what is no whole section. */
static uint64_t end_of_sections(const struct parser *p, uint64_t at)
{
	static const uint8_t hole[SECTION_HEADER];
	struct section s;

	while (read_section(p, at, &s) && memcmp(p->bytes + at, hole, SECTION_HEADER) != 0)
		at = s.end;
	return at;
}

static int parse_v7(struct parser *p, struct wire_reader r)
{
	size_t name_len;
	const char *name = wire_get_str(&r, NAME_MAX_BYTES, &name_len);
	uint64_t at, missing = 0, visited = 0, sections, link;

	copy_word(p->m.compression, sizeof(p->m.compression), (const uint8_t *)name, name_len);
	wire_get_str(&r, NAME_MAX_BYTES, NULL); /* the compressor's version */
	link = position(p, &r);
	at = wire_get_u64_as(&r, p->m.big_endian);
	if (r.err)
		return incomplete(p, "ends inside the initial header", p->len);
	sections = p->m.length = position(p, &r);
	if (at == 0)
		return incomplete(p, "has no options", link);

	for (bool first = true; at != 0; first = false) {
		uint64_t next;
		struct section s;
		int err;

		if (!read_section(p, at, &s))
			return incomplete(p, "ends inside the options", at);
		if (s.id != SECTION_OPTIONS || s.flags & SECTION_COMPRESSED)
			return -EBADMSG;
		visited += s.end - at;
		if (visited > p->len) /* more than there is: the chain bites its tail */
			return -EBADMSG;
		err = read_v7_options(p, s.body, &next, &missing);
		if (err < 0)
			return err;
		if (p->m.table_at && !first) { /* a table of ours, and all from here on with it */
			p->m.length = at;
			p->m.done_at = link;
			break;
		}
		if (s.end > p->m.length)
			p->m.length = s.end;
		link = p->m.done_at;
		at = next;
	}
	if (missing)
		return incomplete(p, "a section is not there", missing);
	if (at == 0) {
		/* No tail of ours. Sections that no option names (strings) are the client's, too.
		 */
		sections = end_of_sections(p, sections);
		if (sections > p->m.length)
			p->m.length = sections;
	}
	return 0;
}

/* ---- both ---- */

bool trace_dat_meta_needs_version(const uint8_t *first, size_t len)
{
	return len > TRACE_DAT_VERSION_AT && memcmp(first, magic, sizeof(magic)) == 0 &&
	       first[TRACE_DAT_VERSION_AT] == 0;
}

int trace_dat_meta_parse(const uint8_t *bytes, size_t len, struct trace_dat_meta *ret)
{
	struct wire_reader r = wire_reader_init(bytes, len);
	struct parser p = {.bytes = bytes, .len = len, .m = {.complete = true, .commit_size = 8}};
	const uint8_t *head;
	int err;

	snprintf(p.m.clock, sizeof(p.m.clock), "local");
	if (len > 0 && memcmp(bytes, magic, len < sizeof(magic) ? len : sizeof(magic)) != 0)
		return -EBADMSG;
	if (len < TRACE_DAT_PAGE_SIZE_AT + 4) {
		(void)incomplete(&p, "ends inside the initial header", len);
		*ret = p.m;
		return 0;
	}
	head = wire_take(&r, TRACE_DAT_PAGE_SIZE_AT);
	if ((head[10] != '6' && head[10] != '7') || head[11] != 0 || head[12] > 1)
		return -EBADMSG;
	p.m.version = head[10] - '0';
	p.m.big_endian = head[12];
	p.m.long_size = head[13];
	if (p.m.long_size == 4)
		p.m.commit_size = 4;
	p.m.page_size = wire_get_u32_as(&r, p.m.big_endian);

	err = p.m.version == 6 ? parse_v6(&p, r) : parse_v7(&p, r);
	if (err < 0)
		return err;
	*ret = p.m;
	return 0;
}
