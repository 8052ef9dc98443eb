/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The wire format: a packet as IPv6 inside the tunnel.
 *
 *   source       [ node prefix 64 | identity 32               | host 32 ]
 *   destination  [ node prefix 64 | checksum adjust 16 | aux 16 | host 32 ]
 *
 * An IPv4 packet gets another header; host is its address, the prefix the
 * node's tunnel /64. An IPv6 packet gets other addresses; host is its number,
 * the prefix the node's pod /64.
 *
 * The adjustment makes the one's complement sum over both tunnel addresses
 * equal that over both real ones (RFC 6296 section 3.1), so that no checksum of
 * layer 4 changes. Fragments of IPv4 follow RFC 7915 section 4.1.
 * docs/wire-format.md and overlay/address.go say the same. */
#pragma once

#include "locate.h"
#include "parse.h"

#define AUX_DONT_FRAGMENT 1
#define AUX_REPLY 2
#define AUX_DEFINED (AUX_DONT_FRAGMENT | AUX_REPLY)
#define AUX_DEFINED6 AUX_REPLY

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

/* What the tag adds to the sum of the addresses, without the adjustment; not
 * folded. */
static __always_inline __u32 tag_sum(const struct tagged_source *src,
				     const struct tagged_destination *dst)
{
	__u32 sum = sum64(0, src->prefix);

	sum = sum32(sum, src->identity);
	sum = sum64(sum, dst->prefix);
	return sum + dst->aux;
}

/* The canonical adjustment; 0xffff stands for zero in one's complement, and
 * only 0 to 0xfffe are written. */
static __always_inline __u16 adjustment(__u32 sum)
{
	__u16 adjust = ~fold(sum);

	return adjust == 0xffff ? 0 : adjust;
}

/* What an IPv6 address adds to the sum when a number takes its place: unlike
 * an IPv4 address, it does not stand whole in the tunnel's. */
static __always_inline __u32 number_sum(__be32 number, const struct addr *real)
{
	const __u64 *halves = (const __u64 *)real->bytes;

	return sum64(sum64(sum32(0, number), ~halves[0]), ~halves[1]);
}

static __always_inline __u16 tag_adjust(struct context *c, const struct tagged_source *src,
					const struct tagged_destination *dst)
{
	__u32 sum = tag_sum(src, dst);

	if (c->v6)
		sum += number_sum(src->host, &c->src) + number_sum(dst->host, &c->dst);
	return adjustment(sum);
}

/* Fills in both addresses, but for the last 32 bits. */
static __always_inline void tag_addresses(struct context *c, struct ipv6 *ip, __be64 own)
{
	__u16 aux = (c->dont_fragment ? AUX_DONT_FRAGMENT : 0) | (c->reply ? AUX_REPLY : 0);

	ip->from.prefix = own;
	ip->from.identity = bpf_htonl(c->src_identity);
	ip->to.prefix = c->prefix;
	ip->to.aux = bpf_htons(aux);
}

static __always_inline void tag_header(struct context *c, struct ipv6 *ip, bool fragment)
{
	ip->version_class = bpf_htonl(6U << 28 | (__u32)c->traffic_class << 20);
	ip->payload_len = bpf_htons(c->payload_len + (fragment ? FRAGMENT_HEADER_LEN : 0));
	ip->next_header = fragment ? FRAGMENT_HEADER : c->protocol;
	ip->hop_limit = c->ttl;
	tag_addresses(c, ip, own_prefix);
	ip->from.host = addr_v4(&c->src);
	ip->to.host = addr_v4(&c->dst);
	ip->to.adjust = tag_adjust(c, &ip->from, &ip->to);
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

/* IPv4 into the tunnel's form, in place. */
static __always_inline int tag_ipv4(struct __sk_buff *skb, struct context *c)
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
	return REASON_NONE;
}

static __always_inline int store_addresses(struct __sk_buff *skb, struct context *c,
					   struct ipv6 *ip)
{
	__u32 at = c->l3 + offsetof(struct ipv6, src);

	if (bpf_skb_store_bytes(skb, at, &ip->src, 2 * sizeof(struct addr), 0))
		return REASON_TRANSLATION_FAILED;
	return REASON_NONE;
}

/* IPv6 into the tunnel's form, in place: nothing is added, and the two sums
 * are equal, whatever the device has computed. */
static __always_inline int tag_ipv6(struct __sk_buff *skb, struct context *c)
{
	struct ipv6 ip = {};

	tag_addresses(c, &ip, own_prefix6);
	ip.from.host = bpf_htonl(tunnel_number(&c->src, own_prefix6));
	ip.to.host = bpf_htonl(tunnel_number(&c->dst, c->prefix));
	if (!own_prefix6 || !ip.from.host || !ip.to.host)
		return REASON_NO_PEER;
	ip.to.adjust = tag_adjust(c, &ip.from, &ip.to);
	return store_addresses(skb, c, &ip);
}

/* Into the tunnel's form. Needs src_identity, prefix, reply. */
static __noinline int tag(struct __sk_buff *skb, struct context *c)
{
	int reason = c->v6 ? tag_ipv6(skb, c) : tag_ipv4(skb, c);

	if (!reason)
		skb->mark = MARK_TAGGED;
	return reason;
}

/* What the tunnel's addresses stand for. A source of the other family's
 * prefix stands for none that its node has (check_tagged_source). */
static __always_inline int parse_hosts(struct context *c, const struct ipv6 *ip)
{
	if (!c->v6) {
		addr_from_v4(&c->src, ip->from.host);
		addr_from_v4(&c->dst, ip->to.host);
		return REASON_NONE;
	}
	if (!numbered_addr(&c->src, ip->from.prefix, bpf_ntohl(ip->from.host)))
		return REASON_TUNNEL_SOURCE;
	if (!numbered_addr(&c->dst, ip->to.prefix, bpf_ntohl(ip->to.host)))
		return REASON_NO_ENDPOINT;
	return REASON_NONE;
}

static __always_inline int parse_tag(struct context *c, const struct ipv6 *ip)
{
	__u16 aux = bpf_ntohs(ip->to.aux);
	int reason;

	if (ip->to.prefix != own_prefix) {
		if (!own_prefix6 || ip->to.prefix != own_prefix6)
			return REASON_TUNNEL_PREFIX;
		c->v6 = 1;
	}
	if (aux & ~(c->v6 ? AUX_DEFINED6 : AUX_DEFINED))
		return REASON_TUNNEL_AUX;
	reason = parse_hosts(c, ip);
	if (reason)
		return reason;
	if (ip->to.adjust != tag_adjust(c, &ip->from, &ip->to))
		return REASON_TUNNEL_CHECKSUM;
	c->dont_fragment = !!(aux & AUX_DONT_FRAGMENT);
	c->tagged_reply = !!(aux & AUX_REPLY);
	c->prefix = ip->from.prefix;
	c->src_identity = bpf_ntohl(ip->from.identity);
	return REASON_NONE;
}

/* What the header of an IPv4 packet in the tunnel may not have. */
static __always_inline int parse_tagged_ipv4(struct __sk_buff *skb, struct context *c,
					     const struct ipv6 *ip)
{
	int reason = REASON_NONE;

	if (bpf_ntohl(ip->version_class) & 0xfffff) /* flow label */
		return REASON_MALFORMED;
	if (c->protocol == FRAGMENT_HEADER)
		reason = parse_fragment_header(skb, c);
	if (!reason && protocol_refused(c->protocol))
		return REASON_UNSUPPORTED_PROTOCOL;
	c->length = c->payload_len + IPV4_HEADER_LEN;
	return reason;
}

/* A packet of the tunnel whose IPv6 header is at c->l3. */
static __noinline int parse_tagged(struct __sk_buff *skb, struct context *c)
{
	struct ipv6 ip;
	int reason = parse_ipv6_header(skb, c, &ip);

	if (!reason)
		reason = parse_tag(c, &ip);
	if (reason)
		return reason;
	reason = c->v6 ? parse_extensions(skb, c) : parse_tagged_ipv4(skb, c, &ip);
	return reason ? reason : parse_l4(skb, c);
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
static __always_inline int untag_ipv4(struct __sk_buff *skb, struct context *c)
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

/* The tunnel's form back into what was sent, in place. */
static __noinline int untag(struct __sk_buff *skb, struct context *c)
{
	struct ipv6 ip = {};

	if (!c->v6)
		return untag_ipv4(skb, c);
	ip.src = c->src;
	ip.dst = c->dst;
	return store_addresses(skb, c, &ip);
}
