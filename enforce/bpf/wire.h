/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The wire format: an inner IPv4 packet as IPv6 inside the tunnel.
 *
 *   source       [ node prefix 64 | identity 32               | host 32 ]
 *   destination  [ node prefix 64 | checksum adjust 16 | aux 16 | host 32 ]
 *
 * The adjustment makes the one's complement sum over both IPv6 addresses equal
 * that over both IPv4 addresses (RFC 6296 section 3.1), so that no checksum of
 * layer 4 changes. Fragments follow RFC 7915 section 4.1. docs/wire-format.md
 * and overlay/address.go say the same. */
#pragma once

#include "maps.h"
#include "parse.h"

#define AUX_DONT_FRAGMENT 1
#define AUX_REPLY 2
#define AUX_DEFINED (AUX_DONT_FRAGMENT | AUX_REPLY)

#define IPV6_HEADER_LEN 40
#define FRAGMENT_HEADER_LEN 8
#define FRAGMENT_HEADER 44 /* RFC 8200 section 4.5 */
#define IPV6_MORE_FRAGMENTS 1

struct tagged_source {
	__be64 prefix;
	__be32 identity;
	__be32 host;
};

struct tagged_destination {
	__be64 prefix;
	__u16 adjust;
	__be16 aux;
	__be32 host;
};

/* RFC 8200 section 3. */
struct ipv6 {
	__be32 version_class; /* version 4, traffic class 8, flow label 20 */
	__be16 payload_len;
	__u8 next_header;
	__u8 hop_limit;
	struct tagged_source src;
	struct tagged_destination dst;
};

struct fragment_header {
	__u8 next_header;
	__u8 reserved;
	__be16 offset_more;
	__be32 id;
};

_Static_assert(sizeof(struct ipv6) == IPV6_HEADER_LEN, "ipv6");
_Static_assert(sizeof(struct fragment_header) == FRAGMENT_HEADER_LEN, "fragment_header");

static __always_inline __u32 sum32(__u32 sum, __u32 word)
{
	return sum + (word & 0xffff) + (word >> 16);
}

static __always_inline __u32 sum64(__u32 sum, __u64 word)
{
	return sum32(sum32(sum, word), word >> 32);
}

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* What the tag adds to the sum of the addresses, without the adjustment. */
static __always_inline __u16 tag_sum(const struct tagged_source *src,
				     const struct tagged_destination *dst)
{
	__u32 sum = sum64(0, src->prefix);

	sum = sum32(sum, src->identity);
	sum = sum64(sum, dst->prefix);
	return fold(sum + dst->aux);
}

/* The canonical adjustment; 0xffff stands for zero in one's complement, and
 * only 0 to 0xfffe are written. */
static __always_inline __u16 tag_adjust(const struct tagged_source *src,
					const struct tagged_destination *dst)
{
	__u16 adjust = ~tag_sum(src, dst);

	return adjust == 0xffff ? 0 : adjust;
}

static __always_inline void tag_header(struct context *c, struct ipv6 *ip, bool fragment)
{
	__u16 aux = (c->dont_fragment ? AUX_DONT_FRAGMENT : 0) | (c->reply ? AUX_REPLY : 0);

	ip->version_class = bpf_htonl(6U << 28 | (__u32)c->traffic_class << 20);
	ip->payload_len = bpf_htons(c->payload_len + (fragment ? FRAGMENT_HEADER_LEN : 0));
	ip->next_header = fragment ? FRAGMENT_HEADER : c->protocol;
	ip->hop_limit = c->ttl;
	ip->src.prefix = own_prefix;
	ip->src.identity = bpf_htonl(c->src_identity);
	ip->src.host = addr_v4(&c->src);
	ip->dst.prefix = c->prefix;
	ip->dst.aux = bpf_htons(aux);
	ip->dst.host = addr_v4(&c->dst);
	ip->dst.adjust = tag_adjust(&ip->src, &ip->dst);
}

static __always_inline int tag_fragment(struct __sk_buff *skb, struct context *c)
{
	struct fragment_header header = {
		.next_header = c->protocol,
		.offset_more = bpf_htons(
			(c->fragment_field & IPV4_OFFSET_MASK) << 3 |
			(c->fragment_field & IPV4_MORE_FRAGMENTS ? IPV6_MORE_FRAGMENTS : 0)),
		.id = bpf_htonl(c->fragment_id),
	};

	if (bpf_skb_adjust_room(skb, FRAGMENT_HEADER_LEN, BPF_ADJ_ROOM_NET,
				BPF_F_ADJ_ROOM_FIXED_GSO))
		return REASON_TRANSLATION_FAILED;
	if (bpf_skb_store_bytes(skb, c->l3 + IPV6_HEADER_LEN, &header, sizeof(header), 0))
		return REASON_TRANSLATION_FAILED;
	return REASON_NONE;
}

/* IPv4 into the tunnel's form, in place. Needs src_identity, prefix, reply. */
static __noinline int tag(struct __sk_buff *skb, struct context *c)
{
	struct ipv6 ip = {};
	bool fragment = c->fragment != FRAGMENT_NONE;
	int options = (c->header_words - 5) * 4;

	if (options > 0 && options <= 40 &&
	    bpf_skb_adjust_room(skb, -options, BPF_ADJ_ROOM_NET, BPF_F_ADJ_ROOM_FIXED_GSO))
		return REASON_TRANSLATION_FAILED;
	if (bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0))
		return REASON_TRANSLATION_FAILED;
	if (fragment && tag_fragment(skb, c))
		return REASON_TRANSLATION_FAILED;
	tag_header(c, &ip, fragment);
	if (bpf_skb_store_bytes(skb, c->l3, &ip, sizeof(ip), 0))
		return REASON_TRANSLATION_FAILED;
	skb->mark = MARK_TAGGED;
	return REASON_NONE;
}

static __always_inline int parse_fragment_header(struct __sk_buff *skb, struct context *c)
{
	struct fragment_header header;
	__u16 offset_more;

	if (c->payload_len < FRAGMENT_HEADER_LEN ||
	    bpf_skb_load_bytes(skb, c->l4, &header, sizeof(header)))
		return REASON_MALFORMED;
	offset_more = bpf_ntohs(header.offset_more);
	if (header.reserved || offset_more & 6 || bpf_ntohl(header.id) > 0xffff ||
	    header.next_header == FRAGMENT_HEADER)
		return REASON_MALFORMED;
	c->fragment_field =
		offset_more >> 3 | (offset_more & IPV6_MORE_FRAGMENTS ? IPV4_MORE_FRAGMENTS : 0);
	c->fragment_id = bpf_ntohl(header.id);
	c->protocol = header.next_header;
	c->l4 += FRAGMENT_HEADER_LEN;
	c->payload_len -= FRAGMENT_HEADER_LEN;
	if (!c->fragment_field)
		return REASON_MALFORMED;
	c->fragment = c->fragment_field & IPV4_OFFSET_MASK ? FRAGMENT_LATER : FRAGMENT_FIRST;
	return REASON_NONE;
}

static __always_inline int parse_tag(struct context *c, const struct ipv6 *ip)
{
	__u16 aux = bpf_ntohs(ip->dst.aux);

	if (ip->dst.prefix != own_prefix)
		return REASON_TUNNEL_PREFIX;
	if (aux & ~AUX_DEFINED)
		return REASON_TUNNEL_AUX;
	if (ip->dst.adjust != tag_adjust(&ip->src, &ip->dst))
		return REASON_TUNNEL_CHECKSUM;
	c->dont_fragment = !!(aux & AUX_DONT_FRAGMENT);
	c->tagged_reply = !!(aux & AUX_REPLY);
	c->prefix = ip->src.prefix;
	c->src_identity = bpf_ntohl(ip->src.identity);
	addr_from_v4(&c->src, ip->src.host);
	addr_from_v4(&c->dst, ip->dst.host);
	return REASON_NONE;
}

/* A packet of the tunnel whose IPv6 header is at c->l3. */
static __noinline int parse_tagged(struct __sk_buff *skb, struct context *c)
{
	struct ipv6 ip;
	__u32 first;
	int reason;

	c->segments = skb->gso_segs ? skb->gso_segs : 1;
	if (bpf_skb_load_bytes(skb, c->l3, &ip, sizeof(ip)))
		return REASON_MALFORMED;
	first = bpf_ntohl(ip.version_class);
	c->payload_len = bpf_ntohs(ip.payload_len);
	if (first >> 28 != 6 || first & 0xfffff ||
	    c->l3 + IPV6_HEADER_LEN + c->payload_len > skb->len)
		return REASON_MALFORMED;
	c->traffic_class = first >> 20;
	c->ttl = ip.hop_limit;
	c->protocol = ip.next_header;
	c->l4 = c->l3 + IPV6_HEADER_LEN;
	reason = parse_tag(c, &ip);
	if (!reason && c->protocol == FRAGMENT_HEADER)
		reason = parse_fragment_header(skb, c);
	if (reason)
		return reason;
	if (protocol_refused(c->protocol))
		return REASON_UNSUPPORTED_PROTOCOL;
	return parse_l4(skb, c);
}

static __always_inline __u16 ipv4_checksum(struct ipv4 *ip)
{
	__u32 sum = bpf_csum_diff(NULL, 0, (__be32 *)ip, sizeof(*ip), 0);

	return ~fold(sum);
}

static __always_inline void untagged_header(struct context *c, struct ipv4 *ip)
{
	__u32 field = c->fragment_field | (c->dont_fragment ? IPV4_DONT_FRAGMENT : 0);

	ip->version_words = 0x45;
	ip->tos = c->traffic_class;
	ip->total_len = bpf_htons(IPV4_HEADER_LEN + c->payload_len);
	/* An atomic datagram's identification is free (RFC 6864 section 4.1). */
	if (c->fragment)
		ip->id = bpf_htons(c->fragment_id);
	else if (!c->dont_fragment)
		ip->id = bpf_get_prandom_u32();
	ip->fragment = bpf_htons(field);
	ip->ttl = c->ttl;
	ip->protocol = c->protocol;
	ip->src = addr_v4(&c->src);
	ip->dst = addr_v4(&c->dst);
	ip->checksum = ipv4_checksum(ip);
}

/* The tunnel's form back into IPv4, in place. */
static __noinline int untag(struct __sk_buff *skb, struct context *c)
{
	struct ipv4 ip = {};

	if (c->fragment && bpf_skb_adjust_room(skb, -FRAGMENT_HEADER_LEN, BPF_ADJ_ROOM_NET,
					       BPF_F_ADJ_ROOM_FIXED_GSO))
		return REASON_TRANSLATION_FAILED;
	if (bpf_skb_change_proto(skb, bpf_htons(ETH_P_IP), 0))
		return REASON_TRANSLATION_FAILED;
	untagged_header(c, &ip);
	if (bpf_skb_store_bytes(skb, c->l3, &ip, sizeof(ip), 0))
		return REASON_TRANSLATION_FAILED;
	c->l4 = c->l3 + IPV4_HEADER_LEN;
	return REASON_NONE;
}
