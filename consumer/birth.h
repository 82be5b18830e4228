/* SPDX-License-Identifier: MIT */
/*
 * birth.h - the birth certificate of an open chunk: what repair must know if both daemons are
 * killed, written into the hole in front of the chunk's first region.
 *
 * One write when the file is made. It stays when the chunk is finished, where no reader looks,
 * until compaction takes the hole out: punching it there would wait for the disk. Thread: any; does
 * I/O on the descriptor it is given.
 */
#ifndef TRACERELAY_CONSUMER_BIRTH_H
#define TRACERELAY_CONSUMER_BIRTH_H

#include <stdint.h>

#include "consumer/record.h"
#include "consumer/trace_dat_layout.h"

#define BIRTH_SIZE ((uint64_t)64 << 10) /* bytes, at the end of what comes before the regions */
#define BIRTH_AT   (TRACE_DAT_DATA_START - BIRTH_SIZE)

/* @record's streams are not written, only how many CPUs there are. 0 or negative errno. */
int birth_write(int fd, const struct record *record, uint32_t cpus);

/* 0; -ENODATA: there is none; negative errno. @ret (without streams) is to be freed. */
int birth_read(int fd, struct record *ret, uint32_t *ret_cpus);

#endif
