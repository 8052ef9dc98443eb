/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* to_overlay: WireGuard device, egress. What from_pod sent is tagged already;
 * what the host stack sends is tagged here, or dropped. */
#pragma once

#include "admit.h"
#include "deliver.h"

/* Who sends through the host stack: a pod of this node (shaped), a process of
 * the node, or, behind kube-proxy's masquerade, the world. */
static __always_inline int stack_sender(struct __sk_buff *skb, struct context *c)
{
	struct endpoint *ep = endpoint_at(&c->src);
	struct location *l;

	if (ep) {
		c->src_identity = ep->identity;
		c->counted = 1;
		return skb->ingress_ifindex == ep->ifindex ? REASON_NONE : REASON_SPOOFED_ADDRESS;
	}
	l = locate(&c->src);
	if (!l || l->kind != LOCATION_LOCAL_HOST)
		return REASON_SPOOFED_ADDRESS;
	c->src_identity = skb->ingress_ifindex ? IDENTITY_WORLD : IDENTITY_HOST;
	return REASON_NONE;
}

/* Only another node's ranges lie behind the tunnel. */
static __always_inline int find_peer(struct context *c)
{
	struct location *l = locate(&c->dst);

	if (!l || (l->kind != LOCATION_REMOTE_PODS && l->kind != LOCATION_REMOTE_HOST))
		return REASON_NO_PEER;
	c->prefix = l->prefix;
	return REASON_NONE;
}

static __always_inline int admit_to_overlay(struct __sk_buff *skb, struct context *c)
{
	struct flow *flow = flow_find(c);
	int reason;

	/* What from_pod has judged opens nothing anew. */
	if (c->src_identity > IDENTITY_MAX_RESERVED)
		c->opening = 0;
	/* An answer from a port of the node: the flow was judged as the
	 * node's, whoever stands behind the port. */
	if (flow && flow->flags & FLOW_ADMITTED && !opened_by_source(c, flow) &&
	    c->src_identity == IDENTITY_WORLD)
		c->src_identity = flow->dst_identity;
	reason = follow(skb, c, flow);
	if (reason == REASON_NONE && c->path == PATH_TUNNEL)
		return REASON_NONE;
	if (reason != REASON_NONE && reason != FLOW_NONE)
		return reason;
	c->path = PATH_TUNNEL;
	if (find_peer(c))
		return REASON_NO_PEER;
	return reason == FLOW_NONE ? open_forwarded(skb, c) : REASON_NONE;
}

SEC("tc")
int to_overlay(struct __sk_buff *skb)
{
	struct context *c;
	int reason;

	if (skb->protocol == bpf_htons(ETH_P_IPV6) && skb->mark == MARK_TAGGED)
		return ACTION_NEXT;
	c = context_new(skb, HOOK_TO_OVERLAY);
	if (!c)
		return ACTION_DROP;
	c->l3 = overlay_l2_len;
	reason = parse(skb, c);
	if (!reason)
		reason = stack_sender(skb, c);
	if (!reason) {
		remember_fragment(c);
		reason = admit_to_overlay(skb, c);
	}
	if (!reason)
		reason = tag(skb, c);
	if (reason)
		return drop(skb, c, reason);
	/* The host's route knows one device only. */
	return by_detour(c) ? bpf_redirect(detour_ifindex, 0) : ACTION_NEXT;
}
