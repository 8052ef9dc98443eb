/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Another address and port in place of one of a packet's ends, and in every
 * checksum that covers them. */
#pragma once

#include "parse.h"
#include "sctp.h"

#define CHECKSUM_ICMP 2
#define CHECKSUM_TCP 16
#define CHECKSUM_UDP 6

struct rewrite {
	struct addr from, to;
	__be16 from_port, to_port;
	bool source; /* the packet's source, else its destination */
};

/* Replaces an address of the IP header at an offset. */
static __noinline int replace_addr(struct __sk_buff *skb, __u32 header, const struct rewrite *r)
{
	__be32 to = addr_v4(&r->to);

	if (!addr_is_v4(&r->to)) {
		header += r->source ? offsetof(struct ipv6, src) : offsetof(struct ipv6, dst);
		return bpf_skb_store_bytes(skb, header, r->to.bytes, sizeof(r->to.bytes), 0);
	}
	if (bpf_l3_csum_replace(skb, header + offsetof(struct ipv4, checksum), addr_v4(&r->from),
				to, 4))
		return REASON_TRANSLATION_FAILED;
	header += r->source ? offsetof(struct ipv4, src) : offsetof(struct ipv4, dst);
	return bpf_skb_store_bytes(skb, header, &to, sizeof(to), 0);
}

static __always_inline __s64 addr_change(const struct rewrite *r)
{
	return bpf_csum_diff((__be32 *)r->from.bytes, sizeof(r->from.bytes), (__be32 *)r->to.bytes,
			     sizeof(r->to.bytes), 0);
}

/* Takes an address's change into a checksum that covers a pseudo-header. The
 * kernel takes it out of the device's sum over the whole packet, as if a header
 * checksum made up for it; IPv6 has none. */
static __noinline int replace_pseudo(struct __sk_buff *skb, const struct rewrite *r, __u32 sum,
				     __u64 flags)
{
	__s64 change = addr_change(r);

	if (bpf_l4_csum_replace(skb, sum, 0, change, BPF_F_PSEUDO_HDR | flags))
		return REASON_TRANSLATION_FAILED;
	if (!addr_is_v4(&r->to))
		bpf_csum_update(skb, change); /* refused where the device has none */
	return REASON_NONE;
}

static __always_inline int rewrite_l4(struct __sk_buff *skb, struct context *c,
				      const struct rewrite *r)
{
	__u32 sum = c->l4 + (c->protocol == IPPROTO_TCP ? CHECKSUM_TCP : CHECKSUM_UDP);
	__u64 zero_means_none = c->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	__u32 port = r->source ? 0 : 2;

	if (c->protocol == IPPROTO_SCTP)
		return rewrite_sctp_port(skb, c, port, r->from_port, r->to_port);
	if (replace_pseudo(skb, r, sum, zero_means_none) ||
	    bpf_l4_csum_replace(skb, sum, r->from_port, r->to_port, zero_means_none | 2) ||
	    bpf_skb_store_bytes(skb, c->l4 + port, &r->to_port, sizeof(r->to_port), 0))
		return REASON_TRANSLATION_FAILED;
	return REASON_NONE;
}

/* Replaces one end of a packet with ports; later fragments have none to
 * replace. */
static __noinline int rewrite_end(struct __sk_buff *skb, struct context *c, const struct rewrite *r)
{
	if (c->fragment != FRAGMENT_LATER && rewrite_l4(skb, c, r))
		return REASON_TRANSLATION_FAILED;
	return replace_addr(skb, c->l3, r) ? REASON_TRANSLATION_FAILED : REASON_NONE;
}

/* Replaces one end of what an ICMP error quotes, and the error's own end of
 * that address. A quoted IPv4 header keeps its sum, checksum included; so only
 * the port changes ICMP's. ICMPv6's covers every address, inside and out. */
static __noinline int rewrite_quoted(struct __sk_buff *skb, struct context *c, struct rewrite *r,
				     bool outside)
{
	__u32 quoted = c->l4 + ICMP_HEADER_LEN, sum = c->l4 + CHECKSUM_ICMP;
	__u32 port = quoted + c->quoted_words * 4 + (r->source ? 0 : 2);

	if (replace_addr(skb, quoted, r) ||
	    (c->v6 && bpf_l4_csum_replace(skb, sum, 0, addr_change(r), 0)) ||
	    bpf_l4_csum_replace(skb, sum, r->from_port, r->to_port, 2) ||
	    bpf_skb_store_bytes(skb, port, &r->to_port, sizeof(r->to_port), 0))
		return REASON_TRANSLATION_FAILED;
	if (!outside)
		return REASON_NONE;
	r->source = !r->source;
	if ((c->v6 && replace_pseudo(skb, r, sum, 0)) || replace_addr(skb, c->l3, r))
		return REASON_TRANSLATION_FAILED;
	return REASON_NONE;
}
