/* SPDX-License-Identifier: MIT */
/* metadata.c - a small, valid head of a trace.dat; see metadata.h. */
#include "tests/bench/metadata.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/pages.h"

enum option { TRACECLOCK = 4, UNAME = 5, CPUCOUNT = 8, VERSION = 9, TRACEID = 11 };
enum section { HEADER_INFO = 16, FTRACE_EVENTS, EVENT_FORMATS, KALLSYMS, PRINTK, CMDLINES };
#define SECTION_FIRST HEADER_INFO
#define SECTION_LAST  CMDLINES

static void put_sized_text(struct bytes *to, const char *text)
{
	bytes_u64(to, strlen(text));
	bytes_text(to, text);
}

static void put_header_info(struct bytes *to, const struct metadata_about *about)
{
	char page[512];

	snprintf(page, sizeof(page),
		 "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
		 "\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
		 "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
		 "\tfield: char data;\toffset:%u;\tsize:%u;\tsigned:0;\n",
		 PAGES_HEADER, about->page_size - PAGES_HEADER);
	bytes_string(to, "header_page");
	put_sized_text(to, page);
	bytes_string(to, "header_event");
	put_sized_text(to, "# compressed entry header\n"
			   "\ttype_len    :    5 bits\n"
			   "\ttime_delta  :   27 bits\n"
			   "\tarray       :   32 bits\n\n"
			   "\tpadding     : type == 29\n"
			   "\ttime_extend : type == 30\n"
			   "\ttime_stamp : type == 31\n"
			   "\tdata max type_len  == 28\n");
}

static void put_event_formats(struct bytes *to, const struct metadata_about *about)
{
	char format[1024];

	snprintf(format, sizeof(format),
		 "name: page\nID: %d\nformat:\n"
		 "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
		 "\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"
		 "\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"
		 "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
		 "\tfield:u64 number;\toffset:8;\tsize:8;\tsigned:0;\n"
		 "\tfield:u32 client;\toffset:16;\tsize:4;\tsigned:0;\n"
		 "\tfield:u32 cpu;\toffset:20;\tsize:4;\tsigned:0;\n"
		 "\tfield:u64 seed;\toffset:24;\tsize:8;\tsigned:0;\n"
		 "\tfield:char fill[%u];\toffset:32;\tsize:%u;\tsigned:0;\n\n"
		 "print fmt: \"client=%%u cpu=%%u page=%%llu\", REC->client, REC->cpu, "
		 "REC->number\n",
		 PAGES_EVENT_ID, about->page_size - PAGES_PAYLOAD - 32,
		 about->page_size - PAGES_PAYLOAD - 32);
	bytes_u32(to, 1); /* systems */
	bytes_string(to, "bench");
	bytes_u32(to, 1); /* events */
	put_sized_text(to, format);
}

static void put_kallsyms(struct bytes *to, const struct metadata_about *about)
{
	size_t length_at = to->len;
	uint32_t length;

	bytes_u32(to, 0);
	for (uint64_t i = 0; to->len - length_at < about->padding; i++) {
		char line[64];

		snprintf(line, sizeof(line), "%016llx T padding_%llu\n",
			 0xffffffff81000000ull + 16 * i, (unsigned long long)i);
		bytes_text(to, line);
	}
	length = (uint32_t)(to->len - length_at - 4);
	memcpy(to->p + length_at, &length, 4);
}

/* The content of a section is the same in both versions. */
static void put_block(struct bytes *to, const struct metadata_about *about, enum section section)
{
	switch (section) {
	case HEADER_INFO:
		put_header_info(to, about);
		break;
	case FTRACE_EVENTS:
	case PRINTK:
		bytes_u32(to, 0); /* none */
		break;
	case EVENT_FORMATS:
		put_event_formats(to, about);
		break;
	case KALLSYMS:
		put_kallsyms(to, about);
		break;
	case CMDLINES:
		put_sized_text(to, "1 load\n");
		break;
	}
}

static void put_option(struct bytes *to, enum option id, const void *data, size_t n)
{
	bytes_u16(to, id);
	bytes_u32(to, (uint32_t)n);
	bytes_put(to, data, n);
}

static void put_common_options(struct bytes *to, const struct metadata_about *about)
{
	static const char clock[] = "[local] global counter uptime perf mono mono_raw boot tai";
	static const char version[] = "3.1.6 load";
	char uname[256];

	snprintf(uname, sizeof(uname), "Linux %s 6.1.0 x86_64", about->node);
	put_option(to, TRACECLOCK, clock, sizeof(clock));
	put_option(to, UNAME, uname, strlen(uname) + 1);
	put_option(to, VERSION, version, sizeof(version));
	put_option(to, TRACEID, &about->trace_id, sizeof(about->trace_id));
}

static void make_v6(struct bytes *to, const struct metadata_about *about)
{
	for (int s = SECTION_FIRST; s <= SECTION_LAST; s++)
		put_block(to, about, s);
	if (!about->with_options)
		return;
	bytes_u32(to, about->cpus);
	bytes_put(to, "options  ", 10);
	put_common_options(to, about);
	bytes_u16(to, 0);
}

/* id, flags, description (none), size to be patched: gives where the size stands. */
static size_t begin_section(struct bytes *to, int id)
{
	bytes_u16(to, (uint16_t)id);
	bytes_u16(to, 0);
	bytes_u32(to, UINT32_MAX);
	bytes_u64(to, 0);
	return to->len - 8;
}

static void end_section(struct bytes *to, size_t size_at)
{
	bytes_patch_u64(to, size_at, to->len - size_at - 8);
}

static void make_v7(struct bytes *to, const struct metadata_about *about)
{
	uint64_t places[SECTION_LAST - SECTION_FIRST + 1];
	size_t options_pointer, size_at;

	bytes_string(to, "none"); /* compression and its version */
	bytes_string(to, "");
	options_pointer = to->len;
	bytes_u64(to, 0);
	for (int s = SECTION_FIRST; s <= SECTION_LAST; s++) {
		places[s - SECTION_FIRST] = to->len;
		size_at = begin_section(to, s);
		put_block(to, about, s);
		end_section(to, size_at);
	}
	bytes_patch_u64(to, options_pointer, to->len);
	size_at = begin_section(to, 0);
	for (int s = SECTION_FIRST; s <= SECTION_LAST; s++)
		put_option(to, (enum option)s, &places[s - SECTION_FIRST], 8);
	put_option(to, CPUCOUNT, &about->cpus, 4);
	put_common_options(to, about);
	bytes_u16(to, 0); /* DONE, with the pointer that the server fills in */
	bytes_u32(to, 8);
	bytes_u64(to, 0);
	end_section(to, size_at);
}

void metadata_make(const struct metadata_about *about, struct bytes *to)
{
	static const uint8_t magic[] = {0x17, 0x08, 0x44, 't', 'r', 'a', 'c', 'i', 'n', 'g'};
	const uint16_t one = 1;

	assert(to->len == 0); /* the offsets inside count from the first byte */
	bytes_put(to, magic, sizeof(magic));
	bytes_string(to, about->version == 7 ? "7" : "6");
	*bytes_grow(to, 1) = *(const uint8_t *)&one == 0; /* 1: big endian */
	*bytes_grow(to, 1) = sizeof(long);
	bytes_u32(to, about->page_size);
	if (about->version == 7)
		make_v7(to, about);
	else
		make_v6(to, about);
}
