/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* from_overlay: WireGuard device, ingress. WireGuard vouches that the source's
 * /64 is the sending node's; the rest of the tag is checked here, the packet
 * judged on both its identities, and handed to the pod or the host. */
#pragma once

#include "admit.h"
#include "deliver.h"

/* Is the identity verified for the sending node: has signet-verifier found
 * that its pods have it? If not, the packet is counted, and dropped where that
 * is wanted. Only packets that no flow speaks for are asked. */
static __noinline int check_attested(struct __sk_buff *skb, struct context *c, __be64 node)
{
	struct attested_key key = { .prefix = node, .identity = c->src_identity };
	struct drop_count *count;
	struct settings *settings;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(&attested, &key))
		return REASON_NONE;
	c->unattested = 1;
	count = bpf_map_lookup_elem(&unattested, &zero);
	if (count) {
		count->packets++;
		count->bytes += skb->len;
	}
	settings = bpf_map_lookup_elem(&live_settings, &zero);
	return settings && settings->attestation == ATTESTATION_ENFORCE ? REASON_UNATTESTED
									: REASON_NONE;
}

/* The inner source must be the sending node's, and fit the identity: a pod
 * has a number of its own; a node's address stands for the node, or for the
 * world behind the node's masquerade. */
static __noinline int check_tagged_source(struct __sk_buff *skb, struct context *c)
{
	struct location *l = locate(&c->src);

	if (!l || l->prefix != c->prefix)
		return REASON_TUNNEL_SOURCE;
	if (l->kind == LOCATION_REMOTE_PODS)
		return c->src_identity > IDENTITY_MAX_RESERVED ? check_attested(skb, c, l->node)
							       : REASON_TUNNEL_IDENTITY;
	if (l->kind != LOCATION_REMOTE_HOST)
		return REASON_TUNNEL_SOURCE;
	return c->src_identity == IDENTITY_WORLD || c->src_identity == IDENTITY_REMOTE_NODE
		       ? REASON_NONE
		       : REASON_TUNNEL_IDENTITY;
}

/* A node calls itself host; seen from here it is a remote node. */
static __always_inline int relate_identity(struct context *c)
{
	if (c->src_identity == IDENTITY_REMOTE_NODE)
		return REASON_TUNNEL_IDENTITY;
	if (c->src_identity == IDENTITY_HOST)
		c->src_identity = IDENTITY_REMOTE_NODE;
	return REASON_NONE;
}

/* The source was checked when an earlier packet of the flow came from the
 * same node under the same revision and identity. */
static __always_inline bool source_known(struct context *c, struct flow *flow)
{
	__u32 known;

	if (!flow || c->related || flow->flags & FLOW_SERVICE || flow->path != PATH_TUNNEL)
		return false;
	known = opened_by_source(c, flow) ? flow->src_identity : flow->dst_identity;
	return known == c->src_identity && flow->prefix == c->prefix &&
	       flow->revision == c->revision;
}

/* Finds the destination on this node; ep is NULL for the host itself. */
static __always_inline int find_local(struct context *c, struct endpoint *ep)
{
	struct location *l;

	if (ep) {
		c->dst_identity = ep->identity;
		return REASON_NONE;
	}
	l = locate(&c->dst);
	if (!l || l->kind != LOCATION_LOCAL_HOST)
		return REASON_NO_ENDPOINT;
	c->dst_identity = IDENTITY_HOST;
	return REASON_NONE;
}

static __always_inline int admit_from_overlay(struct __sk_buff *skb, struct context *c,
					      struct endpoint *ep)
{
	struct flow *flow = flow_find(c);
	int reason = relate_identity(c);

	if (!reason && !source_known(c, flow))
		reason = check_tagged_source(skb, c);
	if (!reason)
		reason = find_local(c, ep);
	if (reason)
		return reason;
	remember_fragment(c);
	if (c->tagged_reply) {
		reason = follow_vouched(c, flow);
		if (!reason && c->unattested)
			send_event(skb, c, VERDICT_ADMITTED, REASON_NONE);
		return reason;
	}
	/* Without the far node's word an answer is judged as what it is: a
	 * packet of its own. */
	keep_crossed(c, flow);
	if (flow && !opened_by_source(c, flow))
		flow = NULL;
	reason = follow(skb, c, flow);
	if (reason != FLOW_NONE)
		return reason;
	c->path = PATH_TUNNEL;
	return open_admitted(skb, c);
}

/* Into the host stack, which may still find a pod behind a port of the node:
 * to_pod then needs to know who sends. */
static __always_inline int deliver_to_host(struct context *c)
{
	struct tunnel_source source = { .prefix = c->prefix, .identity = c->src_identity };

	bpf_map_update_elem(&tunnel_sources, &c->src, &source, BPF_ANY);
	return ACTION_NEXT;
}

SEC("tc")
int from_overlay(struct __sk_buff *skb)
{
	struct context *c = context_new(skb, HOOK_FROM_OVERLAY);
	struct endpoint *ep;
	int reason;

	if (!c)
		return ACTION_DROP;
	c->l3 = overlay_l2_len;
	if (skb->protocol != bpf_htons(ETH_P_IPV6))
		return drop(skb, c, REASON_TUNNEL_UNTAGGED);
	reason = parse_tagged(skb, c);
	if (reason)
		return drop(skb, c, reason);
	ep = endpoint_at(&c->dst);
	reason = admit_from_overlay(skb, c, ep);
	if (!reason)
		reason = untag(skb, c);
	if (reason)
		return drop(skb, c, reason);
	if (!ep) {
		if (untranslate_source(skb, c))
			return drop(skb, c, REASON_TRANSLATION_FAILED);
		return deliver_to_host(c);
	}
	if (add_ethernet(skb, c))
		return drop(skb, c, REASON_TRANSLATION_FAILED);
	return deliver_to_pod(skb, c, ep);
}
