/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* from_pod: host side of a veth pair, ingress; pod's side of a netkit pair, where
 * skb->ifindex is the host side's, too. What a pod sends: is it the pod's own,
 * which backend does it mean, may it go there, and which way. */
#pragma once

#include "admit.h"
#include "deliver.h"

static __always_inline bool mac_equal(const struct mac *a, const struct mac *b)
{
	return a->words[0] == b->words[0] && a->words[1] == b->words[1] &&
	       a->words[2] == b->words[2];
}

/* The sender must be the endpoint of this interface, by address and MAC. The
 * frame must say what it was parsed as: in a netkit pair that is the sending
 * socket's word, which a receiving veth would not take. */
static __always_inline int check_sender(struct __sk_buff *skb, struct context *c,
					struct endpoint *ep)
{
	struct sender sender;

	if (!ep || ep->ifindex != skb->ifindex)
		return REASON_SPOOFED_ADDRESS;
	if (load(skb, ETH_ALEN, &sender) || sender.protocol != skb->protocol)
		return REASON_MALFORMED;
	if (!mac_equal(&sender.mac, (const struct mac *)ep->mac))
		return REASON_SPOOFED_MAC;
	if (!ep->identity)
		return REASON_UNKNOWN_IDENTITY;
	/* A pod is no router: it tells of errors of what it was sent itself. */
	if (c->related && !addr_equal(&c->quoted_dst, &c->src))
		return REASON_ICMP_UNRELATED;
	c->src_identity = ep->identity;
	return REASON_NONE;
}

/* A new flow of a pod: judged here unless the far end is on another node. */
static __noinline int open_from_pod(struct __sk_buff *skb, struct context *c)
{
	struct endpoint *ep = endpoint_at(&c->dst);
	struct location *l;

	if (ep) {
		c->dst_identity = ep->identity;
		c->path = PATH_LOCAL;
		return open_admitted(skb, c);
	}
	l = locate(&c->dst);
	switch (l ? l->kind : LOCATION_WORLD) {
	case LOCATION_LOCAL_HOST:
		c->dst_identity = IDENTITY_HOST;
		c->path = PATH_STACK;
		return open_admitted(skb, c);
	case LOCATION_WORLD:
		c->dst_identity = IDENTITY_WORLD;
		c->path = PATH_STACK;
		return open_admitted(skb, c);
	case LOCATION_REMOTE_HOST:
	case LOCATION_REMOTE_PODS:
		c->prefix = l ? l->prefix : 0;
		c->path = PATH_TUNNEL;
		return open_forwarded(skb, c);
	case LOCATION_LOCAL_PODS:
		return REASON_NO_ENDPOINT;
	}
	return REASON_NO_PEER;
}

static __always_inline int admit_from_pod(struct __sk_buff *skb, struct context *c,
					  struct flow *flow)
{
	struct endpoint *ep;
	int reason;

	if (!flow || flow->path == PATH_LOCAL || flow->path == PATH_NONE) {
		ep = endpoint_at(&c->dst);
		c->dst_identity = ep ? ep->identity : IDENTITY_UNKNOWN;
	}
	reason = follow(skb, c, flow);
	return reason == FLOW_NONE ? open_from_pod(skb, c) : reason;
}

#define UDP_LEN 8
#define TCP_HEADER_WORDS 12 /* offset; in the upper half of the byte */
#define MIN_POD_MTU 576     /* no tunnel is narrower */

/* Is the packet, or what becomes of it on the wire, larger than the tunnel takes
 * by now? A pod keeps the MTU that it started with when the underlay's shrinks. */
static __always_inline bool too_large(struct __sk_buff *skb, struct context *c)
{
	__u32 size = c->length, mtu = 0;
	__u8 words = 0;

	if (size <= MIN_POD_MTU)
		return false;
	if (skb->gso_size) {
		size = c->l4 - c->l3 + UDP_LEN + skb->gso_size;
		if (c->protocol == IPPROTO_TCP) {
			if (bpf_skb_load_bytes(skb, c->l4 + TCP_HEADER_WORDS, &words,
					       sizeof(words)))
				return false;
			size += (words >> 4) * 4 - UDP_LEN;
		}
	}
	if (bpf_check_mtu(skb, overlay_ifindex, &mtu, 0, 0) < 0)
		return false;
	return size + (c->v6 ? 0 : IPV6_HEADER_LEN - IPV4_HEADER_LEN) > mtu;
}

/* A shaped pod's packets take the host stack, whose queueing disciplines see
 * nothing that a redirect took away. The stack has a route into the tunnel for
 * pods only: what goes to another node itself must not be left to it. So does
 * what is too large for the tunnel: the stack tells its sender by ICMP, or cuts
 * it into fragments. */
static __always_inline bool takes_stack(struct __sk_buff *skb, struct context *c, bool shaped)
{
	struct location *l;

	if (c->path == PATH_STACK)
		return true;
	if (!shaped && !(c->path == PATH_TUNNEL && too_large(skb, c)))
		return false;
	if (c->path == PATH_LOCAL)
		return !to_itself(c);
	l = locate(&c->dst);
	return l && l->kind == LOCATION_REMOTE_PODS;
}

/* Sends an admitted packet its way. */
static __always_inline int send_from_pod(struct __sk_buff *skb, struct context *c, bool shaped)
{
	struct endpoint *ep;

	if (takes_stack(skb, c, shaped)) {
		if (c->path != PATH_STACK)
			skb->mark = MARK_UNTRACKED;
		return ACTION_NEXT;
	}
	if (c->path == PATH_TUNNEL)
		return deliver_to_tunnel(skb, c);
	ep = endpoint_at(&c->dst);
	if (!ep)
		return drop(skb, c, REASON_NO_ENDPOINT);
	return deliver_to_pod(skb, c, ep);
}

static __always_inline int handle_from_pod(struct __sk_buff *skb)
{
	struct context *c = context_new(skb, HOOK_FROM_POD);
	struct endpoint *ep;
	struct flow *flow;
	int reason;

	if (!c)
		return ACTION_DROP;
	c->l3 = ETHERNET_LEN;
	/* The kernel has taken a VLAN tag off the frame, and would put it back. */
	reason = skb->vlan_present ? REASON_UNSUPPORTED_PROTOCOL : parse(skb, c);
	if (reason)
		return drop(skb, c, reason);
	ep = endpoint_at(&c->src);
	reason = check_sender(skb, c, ep);
	if (reason || !ep)
		return drop(skb, c, reason);
	remember_fragment(c);
	reason = from_gateway(skb, c);
	flow = flow_find(c);
	if (!reason && may_need_backend(c, flow)) {
		reason = to_backend(skb, c, flow);
		flow = flow_find(c);
	}
	if (!reason)
		reason = admit_from_pod(skb, c, flow);
	if (reason)
		return drop(skb, c, reason);
	return send_from_pod(skb, c, ep->flags & ENDPOINT_SHAPED);
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	int action = handle_from_pod(skb);

	/* netkit would tell the sender, whose TCP would take it for a full queue
	 * and try again twice a second. There is no device 0: this drops it, too,
	 * and is as silent as a veth. */
	if (action == ACTION_DROP && !skb->ingress_ifindex)
		return bpf_redirect(0, 0);
	return action;
}
