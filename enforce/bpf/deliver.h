/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The last step of a hook: on to the pod, or into the tunnel. */
#pragma once

#include "events.h"
#include "hairpin.h"
#include "service.h"
#include "wire.h"

/* The slot of an address: by the end of it, in which a node's pods differ
 * (slotOf in slots.go). Words 2 of IPv4 and of IPv6 pods are not alike. */
static __always_inline __u32 endpoint_slot(const struct addr *a)
{
	const __u32 *words = (const __u32 *)a->bytes;
	__u32 half = ENDPOINT_SLOTS / 2;

	return (bpf_ntohl(words[3]) & (half - 1)) | (words[2] ? half : 0);
}

static __always_inline struct endpoint *endpoint_at(const struct addr *a)
{
	__u32 number = endpoint_slot(a);
	struct endpoint_slot *slot = bpf_map_lookup_elem(&endpoint_slots, &number);

	if (slot && slot->live && addr_equal(&slot->addr, a))
		return &slot->endpoint;
	return bpf_map_lookup_elem(&endpoints, a);
}

/* Is from_pod's packet still on its way out of the pod? netkit runs the program
 * before the node has taken the packet in. */
static __always_inline bool leaving_netkit(struct __sk_buff *skb, struct context *c)
{
	return c->hook == HOOK_FROM_POD && !skb->ingress_ifindex;
}

/* Hands a packet with an Ethernet header to a pod of this node. A
 * shaped pod's packet passes its interface's queue, and so to_pod, which
 * gives answers their service address. What is still leaving a pod can only
 * leave again, by the host side of the other's interface: to_pod has nothing
 * left to do then. */
static __noinline int deliver_to_pod(struct __sk_buff *skb, struct context *c, struct endpoint *ep)
{
	bool leaving = leaving_netkit(skb, c);
	bool shaped = ep->flags & ENDPOINT_SHAPED && !to_itself(c) && !leaving;
	__u8 macs[2 * ETH_ALEN];

	if (!shaped && (untranslate_source(skb, c) || hide_own_address(skb, c)))
		return drop(skb, c, REASON_TRANSLATION_FAILED);
	__builtin_memcpy(macs, ep->mac, ETH_ALEN);
	__builtin_memcpy(macs + ETH_ALEN, ep->host_mac, ETH_ALEN);
	if (bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0))
		return drop(skb, c, REASON_TRANSLATION_FAILED);
	if (leaving)
		skb->mark = MARK_DELIVERED;
	if (shaped || leaving)
		return bpf_redirect(ep->ifindex, 0);
	return bpf_redirect_peer(ep->ifindex, 0);
}

/* Does the second WireGuard device lead to the node that c->prefix names? */
static __always_inline bool by_detour(struct context *c)
{
	struct settings *settings;
	__u32 zero = 0;

	settings = bpf_map_lookup_elem(&live_settings, &zero);
	return settings && settings->detours && bpf_map_lookup_elem(&detours, &c->prefix);
}

/* Did the packet come to the host stack through the tunnel? */
static __always_inline bool from_tunnel(struct __sk_buff *skb)
{
	return skb->ingress_ifindex == overlay_ifindex ||
	       (detour_ifindex && skb->ingress_ifindex == detour_ifindex);
}

/* Tags the packet and hands it to the WireGuard device. */
static __noinline int deliver_to_tunnel(struct __sk_buff *skb, struct context *c)
{
	int reason = tag(skb, c);

	if (reason)
		return drop(skb, c, reason);
	return bpf_redirect(by_detour(c) ? detour_ifindex : overlay_ifindex, 0);
}

/* Puts an Ethernet header before a packet of the WireGuard device, which has
 * none; the addresses follow in deliver_to_pod. */
static __always_inline int add_ethernet(struct __sk_buff *skb, struct context *c)
{
	__be16 type = bpf_htons(c->v6 ? ETH_P_IPV6 : ETH_P_IP);

	if (overlay_l2_len)
		return REASON_NONE;
	if (bpf_skb_change_head(skb, ETHERNET_LEN, 0) ||
	    bpf_skb_store_bytes(skb, 2 * ETH_ALEN, &type, sizeof(type), 0))
		return REASON_TRANSLATION_FAILED;
	c->l3 = ETHERNET_LEN;
	c->l4 += ETHERNET_LEN;
	return REASON_NONE;
}
