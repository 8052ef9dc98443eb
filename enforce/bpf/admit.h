/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a packet with known ends to its way: by its flow where that still
 * holds, else by a new verdict. Every hook goes through here. */
#pragma once

#include "events.h"
#include "flow.h"
#include "policy.h"

/* What follow() says beside a reason: no flow speaks for the packet. */
#define FLOW_NONE (-1)

/* Keeps a flow that may not go on, so that every packet of it is judged in the
 * direction in which it was opened: were it forgotten, the responder's next
 * packet would open it anew from the other end, where policy may admit it. */
static __noinline void revoke(struct context *c)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &c->key);

	if (!flow)
		return;
	flow->src_identity = c->src_identity;
	flow->revision = 0;
}

static __always_inline int tell_admitted(struct __sk_buff *skb, struct context *c)
{
	return send_event(skb, c, c->audit ? VERDICT_AUDIT : VERDICT_ADMITTED, c->audit);
}

/* Judges the packet as the first of a flow and remembers it. */
static __noinline int open_admitted(struct __sk_buff *skb, struct context *c)
{
	int reason = judge(c);

	if (reason) {
		if (c->stale)
			revoke(c);
		return reason;
	}
	if (flow_open(c, FLOW_ADMITTED))
		return REASON_TRANSLATION_FAILED;
	return tell_admitted(skb, c);
}

/* Remembers a flow that this node opens and the receiving node judges. */
static __noinline int open_forwarded(struct __sk_buff *skb, struct context *c)
{
	if (!c->revision)
		return REASON_NOT_READY;
	if (c->v6 && !tunnel_number(&c->dst, c->prefix))
		return REASON_NO_PEER;
	if (flow_open(c, FLOW_OPENED))
		return REASON_TRANSLATION_FAILED;
	return send_event(skb, c, VERDICT_FORWARDED, REASON_NONE);
}

/* Exchanges the packet's ends. */
static __always_inline void turn_around(struct context *c)
{
	struct addr addr = c->src;
	__be16 port = c->src_port;
	__u32 identity = c->src_identity;

	c->src = c->dst;
	c->dst = addr;
	c->src_port = c->dst_port;
	c->dst_port = port;
	c->src_identity = c->dst_identity;
	c->dst_identity = identity;
}

/* Judges an answer's flow again, in the direction in which it was opened. The
 * responder's identity is the packet's, the initiator's too where known. */
static __noinline int judge_again(struct __sk_buff *skb, struct context *c, struct flow *flow)
{
	int reason;

	c->again = 1;
	if (!c->dst_identity)
		c->dst_identity = flow->src_identity;
	turn_around(c);
	reason = judge(c);
	turn_around(c);
	if (reason) {
		flow->revision = 0; /* see revoke */
		return reason;
	}
	flow->src_identity = c->dst_identity;
	flow->dst_identity = c->src_identity;
	flow->revision = c->revision;
	c->reply = 1;
	tell_admitted(skb, c);
	return REASON_NONE;
}

/* An ICMP error passes with the flow that it quotes, and opens nothing. */
static __always_inline int follow_related(struct context *c, struct flow *flow)
{
	if (!flow || flow->flags & FLOW_SERVICE)
		return REASON_ICMP_UNRELATED;
	if (flow->flags & FLOW_ADMITTED && flow->revision != c->revision)
		return REASON_ICMP_UNRELATED;
	flow_use(c, flow, !opened_by_source(c, flow));
	return REASON_NONE;
}

/* Does the packet follow a flow that was admitted here and still holds?
 * Gives FLOW_NONE if not, a reason if its flow may no longer. */
static __always_inline int follow(struct __sk_buff *skb, struct context *c, struct flow *flow)
{
	int reason;

	if (c->related)
		return follow_related(c, flow);
	if (!flow || flow->flags & FLOW_SERVICE || c->opening)
		return FLOW_NONE;
	if (opened_by_source(c, flow)) {
		flow_use(c, flow, false);
		if (flow->revision == c->revision && flow->src_identity == c->src_identity &&
		    (!c->dst_identity || flow->dst_identity == c->dst_identity))
			return REASON_NONE;
		keep_counters(c, flow);
		c->kept_flags |= flow->flags & (FLOW_ANSWERED | FLOW_CLOSING);
		return FLOW_NONE;
	}
	if (!(flow->flags & FLOW_ADMITTED))
		return FLOW_NONE;
	if (flow->revision != c->revision || flow->dst_identity != c->src_identity ||
	    (c->dst_identity && flow->src_identity != c->dst_identity)) {
		reason = judge_again(skb, c, flow);
		/* A flow that this end has opened too goes on as its own. */
		if (reason && flow->flags & FLOW_CROSSED)
			return FLOW_NONE;
		if (reason)
			return reason;
	}
	flow_use(c, flow, true);
	return REASON_NONE;
}

/* Like follow, for a packet that the far node vouches to be an answer: this
 * node must have opened the flow, towards that node. */
static __noinline int follow_vouched(struct context *c, struct flow *flow)
{
	bool crossed;

	if (!flow || flow->flags & FLOW_SERVICE || flow->path != PATH_TUNNEL ||
	    flow->prefix != c->prefix)
		return REASON_REPLY_WITHOUT_FLOW;
	crossed = opened_by_source(c, flow);
	if (crossed && !(flow->flags & FLOW_CROSSED))
		return REASON_REPLY_WITHOUT_FLOW;
	if (!crossed && !c->related && flow->dst_identity != c->src_identity)
		flow->dst_identity = c->src_identity;
	flow_use(c, flow, true);
	return REASON_NONE;
}

/* A packet of the far end that is about to take over the entry of a flow that
 * this node has sent to it: two ends that open at once, or a far node that
 * lost its entry. The entry goes on to tell both, or each node would wait for
 * the other's first packet for ever. */
static __always_inline void keep_crossed(struct context *c, struct flow *flow)
{
	if (!flow || flow->flags & FLOW_SERVICE || flow->path != PATH_TUNNEL ||
	    flow->prefix != c->prefix)
		return;
	if (opened_by_source(c, flow) && !(flow->flags & FLOW_CROSSED))
		return;
	c->kept_flags = FLOW_CROSSED;
	flow_translation(c, flow);
}
