/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What user space learns: a count of every drop, and an event a verdict. */
#pragma once

#include "maps.h"

/* Drop events that one CPU may send a second; the rest is only counted. */
#define DROP_EVENTS_PER_SECOND 1000

static __always_inline struct event_budget *event_budget(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&event_budgets, &zero);
}

/* Takes a token for one drop event. */
static __noinline bool drop_event_due(void)
{
	struct event_budget *budget = event_budget();
	__u64 now = bpf_ktime_get_coarse_ns();

	if (!budget)
		return false;
	if (now - budget->refilled > NS_PER_SECOND) {
		budget->refilled = now;
		budget->tokens = DROP_EVENTS_PER_SECOND;
	}
	if (!budget->tokens) {
		budget->suppressed++;
		return false;
	}
	budget->tokens--;
	return true;
}

static __noinline int send_event(struct __sk_buff *skb, struct context *c, __u32 verdict,
				 __u32 reason)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		struct event_budget *budget = event_budget();

		if (budget)
			budget->lost++;
		return 0;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->time = bpf_ktime_get_ns();
	e->src = c->src;
	e->dst = c->dst;
	e->src_port = c->src_port;
	e->dst_port = c->dst_port;
	if (c->translated) {
		e->service = c->nat_addr;
		e->service_port = c->nat_port;
	}
	e->protocol = c->protocol;
	e->verdict = verdict;
	e->reason = reason;
	e->hook = c->hook;
	e->tcp_flags = c->tcp_flags;
	e->reply = c->reply;
	e->src_identity = c->src_identity;
	e->dst_identity = c->dst_identity;
	e->revision = c->revision;
	e->length = skb->len;
	e->unattested = c->unattested;
	e->again = c->again;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* Counts and reports the drop; gives the action that drops. */
static __noinline int drop(struct __sk_buff *skb, struct context *c, __u32 reason)
{
	struct drop_count *count = bpf_map_lookup_elem(&drops, &reason);

	if (count) {
		count->packets++;
		count->bytes += skb->len;
	}
	if (drop_event_due())
		send_event(skb, c, VERDICT_DROPPED, reason);
	return ACTION_DROP;
}
