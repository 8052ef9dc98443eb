/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* to_pod: host side of a pod's interface, egress. What the host stack delivers:
 * the node's own processes, the world, what ports of the node stand for, and
 * packets of shaped pods that other hooks have judged. */
#pragma once

#include "admit.h"
#include "deliver.h"

/* A remote pod's packet came by the tunnel and through the host stack. The
 * flow, or from_overlay's note, tells who sends. */
static __noinline int tunnel_sender(struct __sk_buff *skb, struct context *c, struct flow *flow)
{
	struct tunnel_source *source;

	if (!from_tunnel(skb))
		return REASON_UNTRUSTED_PATH;
	if (flow && !(flow->flags & FLOW_SERVICE)) {
		bool opened = opened_by_source(c, flow);

		c->src_identity = opened ? flow->src_identity : flow->dst_identity;
		return REASON_NONE;
	}
	source = bpf_map_lookup_elem(&tunnel_sources, &c->src);
	if (!source)
		return REASON_UNKNOWN_IDENTITY;
	c->src_identity = source->identity;
	c->prefix = source->prefix;
	return REASON_NONE;
}

/* The flow was judged under the revision in force, as one of the world's end
 * that sends: nothing that a fresh look at its address asks has changed. */
static __always_inline bool known_world(struct __sk_buff *skb, struct context *c, struct flow *flow)
{
	if (!flow || c->related || flow->flags & FLOW_SERVICE || flow->path != PATH_STACK)
		return false;
	return flow->revision == c->revision && !from_tunnel(skb) &&
	       (opened_by_source(c, flow) ? flow->src_identity : flow->dst_identity) ==
		       IDENTITY_WORLD;
}

/* Who sends? A packet's arrival decides what its address may claim. */
static __always_inline int delivered_sender(struct __sk_buff *skb, struct context *c,
					    struct flow *flow)
{
	struct endpoint *ep;
	struct location *l;

	if (!skb->ingress_ifindex) {
		c->src_identity = IDENTITY_HOST;
		return REASON_NONE;
	}
	c->src_identity = IDENTITY_WORLD;
	if (known_world(skb, c, flow))
		return REASON_NONE;
	ep = endpoint_at(&c->src);
	if (ep) {
		c->src_identity = ep->identity;
		return skb->ingress_ifindex == ep->ifindex ? REASON_NONE : REASON_SPOOFED_ADDRESS;
	}
	l = locate(&c->src);
	if (l && (l->kind == LOCATION_REMOTE_PODS || from_tunnel(skb)))
		return tunnel_sender(skb, c, flow);
	if (l && (l->kind == LOCATION_LOCAL_PODS || l->kind == LOCATION_CLUSTER))
		return REASON_UNTRUSTED_PATH;
	return REASON_NONE;
}

/* An answer to what the pod opened: by the tunnel if it left by the tunnel. */
static __always_inline bool answers(struct __sk_buff *skb, struct context *c, struct flow *flow)
{
	if (!flow || flow->flags & FLOW_SERVICE || c->opening || opened_by_source(c, flow))
		return false;
	return flow->path == PATH_TUNNEL && from_tunnel(skb);
}

/* The pod's own answer address is the node when its packets were translated
 * there; the local node itself is always admitted. */
static __always_inline int admit_to_pod(struct __sk_buff *skb, struct context *c)
{
	struct flow *flow = flow_find(c);
	int reason = delivered_sender(skb, c, flow);

	if (reason)
		return reason;
	remember_fragment(c);
	/* What another hook has judged opens nothing anew. */
	if (flow && flow->path != PATH_STACK)
		c->opening = 0;
	if (answers(skb, c, flow)) {
		flow_use(c, flow, true);
		return REASON_NONE;
	}
	/* What left by the tunnel is not answered past it, but for errors of this node. */
	if (flow && !c->opening && !(flow->flags & FLOW_SERVICE) && flow->path == PATH_TUNNEL &&
	    !from_tunnel(skb) && !(c->related && !skb->ingress_ifindex))
		return REASON_UNTRUSTED_PATH;
	reason = follow(skb, c, flow);
	if (reason != FLOW_NONE)
		return reason;
	c->path = PATH_STACK;
	return open_admitted(skb, c);
}

SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	struct context *c;
	struct endpoint *ep;
	int reason;

	/* No other node or pod can claim this: their packets have come in somewhere. */
	if (skb->mark == MARK_DELIVERED && !skb->ingress_ifindex)
		return ACTION_NEXT;
	c = context_new(skb, HOOK_TO_POD);
	if (!c)
		return ACTION_DROP;
	c->l3 = ETHERNET_LEN;
	reason = parse(skb, c);
	if (reason)
		return drop(skb, c, reason);
	ep = endpoint_at(&c->dst);
	if (!ep || ep->ifindex != skb->ifindex)
		return drop(skb, c, REASON_NO_ENDPOINT);
	c->dst_identity = ep->identity;
	reason = admit_to_pod(skb, c);
	if (!reason)
		reason = untranslate_source(skb, c);
	if (reason)
		return drop(skb, c, reason);
	return ACTION_NEXT;
}
