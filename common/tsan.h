/* SPDX-License-Identifier: MIT */
/*
 * tsan.h - what ThreadSanitizer must be told. In any other build these are nothing.
 *
 * liburcu is called, not inlined (no URCU_INLINE_SMALL_FUNCTIONS, no _LGPL_SOURCE), and its atomic
 * operations are invisible to ThreadSanitizer. So where our code publishes something through it,
 *and where it looks into what was published, it says so; what liburcu does itself is suppressed
 * (tests/suppressions/tsan.supp).
 *
 *	publisher:  fill in the node; TSAN_RELEASE(node); add it to a queue or a table
 *	reader:     take it out, or find it; TSAN_ACQUIRE(node); look into it
 */
#ifndef TRACERELAY_COMMON_TSAN_H
#define TRACERELAY_COMMON_TSAN_H

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

#ifdef UNDER_TSAN
#include <sanitizer/tsan_interface.h>
#define TSAN_RELEASE(node)    __tsan_release(node)
#define TSAN_ACQUIRE(node)    __tsan_acquire(node)
#define RACY_READS_END_HERE() ((void)0) /* gcc has no fences then, and every atomic is a call */
#else
#define TSAN_RELEASE(node)    ((void)(node))
#define TSAN_ACQUIRE(node)    ((void)(node))
/* Between what TSAN_READS_RACILY read and the look at the count or id that tells its worth. */
#define RACY_READS_END_HERE() atomic_thread_fence(memory_order_acquire)
#endif

/*
 * A function that reads what another thread or process may be writing, on purpose: its caller finds
 * out behind it, by a count or an id, whether that happened, and then throws away what was read.
 * Such a function does nothing else: no atomics in it, for TSan would miss their order too.
 */
#define TSAN_READS_RACILY __attribute__((no_sanitize("thread")))

#endif
