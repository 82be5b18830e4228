/* SPDX-License-Identifier: MIT */
/* stream_table.c - the stream table on liburcu's cds_lfht; see stream_table.h. */
#include "relayd/stream_table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <urcu.h>
#include <urcu/rculfhash.h>

#include "common/tsan.h"

#define FIRST_BUCKETS 1024

struct stream_table {
	struct cds_lfht *ht;
	uint64_t seed;
};

struct key {
	struct addr where; /* the peer, with the local port in place of its own */
	uint32_t transport;
	uint32_t zero;
};

struct node {
	struct key key;            /* constant */
	struct stream_entry entry; /* constant */
	struct cds_lfht_node link;
	struct rcu_head retire;
};

/* Of a node of the table. (cds_lfht_for_each_entry() would compute one of NULL at the end.) */
static struct node *node_of(struct cds_lfht_node *link)
{
	TSAN_ACQUIRE(link);
	return caa_container_of(link, struct node, link);
}

static struct key make_key(const struct addr *peer, uint16_t port, enum transport transport)
{
	struct key k = {.where = *peer, .transport = transport};

	k.where.port = port;
	return k;
}

static unsigned long hash_key(const struct stream_table *t, const struct key *k)
{
	return (unsigned long)addr_hash(&k->where, t->seed + k->transport);
}

static int match(struct cds_lfht_node *link, const void *key)
{
	const struct node *n = node_of(link);
	const struct key *k = key;

	return n->key.transport == k->transport && addr_equal(&n->key.where, &k->where);
}

static void free_node(struct rcu_head *head)
{
	free(caa_container_of(head, struct node, retire));
}

int stream_table_new(struct stream_table **ret)
{
	struct stream_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
		t->seed = (uint64_t)(uintptr_t)t;
	t->ht = cds_lfht_new(FIRST_BUCKETS, FIRST_BUCKETS, 0,
			     CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, NULL);
	if (!t->ht) {
		free(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

void stream_table_free(struct stream_table *t)
{
	struct cds_lfht_node *link;
	struct cds_lfht_iter iter;

	if (!t)
		return;
	rcu_read_lock();
	cds_lfht_for_each (t->ht, &iter, link) {
		if (cds_lfht_del(t->ht, link) == 0)
			call_rcu(&node_of(link)->retire, free_node);
	}
	rcu_read_unlock();
	rcu_barrier();
	cds_lfht_destroy(t->ht, NULL);
	free(t);
}

int stream_table_add(struct stream_table *t, const struct addr *peer, uint16_t port,
		     enum transport transport, const struct stream_entry *entry)
{
	struct node *n = calloc(1, sizeof(*n));
	struct cds_lfht_node *there;

	if (!n)
		return -ENOMEM;
	n->key = make_key(peer, port, transport);
	n->entry = *entry;
	cds_lfht_node_init(&n->link);
	TSAN_RELEASE(&n->link);
	rcu_read_lock();
	there = cds_lfht_add_unique(t->ht, hash_key(t, &n->key), match, &n->key, &n->link);
	rcu_read_unlock();
	if (there != &n->link) {
		free(n);
		return -EEXIST;
	}
	return 0;
}

static struct node *find(struct stream_table *t, const struct key *k)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *link;

	cds_lfht_lookup(t->ht, hash_key(t, k), match, k, &iter);
	link = cds_lfht_iter_get_node(&iter);
	return link ? node_of(link) : NULL;
}

bool stream_table_remove(struct stream_table *t, const struct addr *peer, uint16_t port,
			 enum transport transport, uint64_t stream_id)
{
	struct key k = make_key(peer, port, transport);
	bool removed = false;
	struct node *n;

	rcu_read_lock();
	n = find(t, &k);
	if (n && n->entry.stream.id == stream_id && cds_lfht_del(t->ht, &n->link) == 0) {
		call_rcu(&n->retire, free_node);
		removed = true;
	}
	rcu_read_unlock();
	return removed;
}

bool stream_table_find(struct stream_table *t, const struct addr *peer, uint16_t port,
		       enum transport transport, struct stream_entry *ret)
{
	struct key k = make_key(peer, port, transport);
	struct node *n;

	rcu_read_lock();
	n = find(t, &k);
	if (n)
		*ret = n->entry;
	rcu_read_unlock();
	return n != NULL;
}

void stream_table_walk(struct stream_table *t,
		       void (*see)(void *ctx, const struct stream_entry *entry), void *ctx)
{
	struct cds_lfht_node *link;
	struct cds_lfht_iter iter;

	rcu_read_lock();
	cds_lfht_for_each (t->ht, &iter, link)
		see(ctx, &node_of(link)->entry);
	rcu_read_unlock();
}

uint64_t stream_table_count(struct stream_table *t)
{
	unsigned long count = 0;
	long before, after;

	rcu_read_lock();
	cds_lfht_count_nodes(t->ht, &before, &count, &after);
	rcu_read_unlock();
	return count;
}
