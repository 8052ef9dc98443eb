/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SCTP's checksum when a port changes. It is a CRC32c over the whole packet
 * and no address (RFC 9260 section 6.8), and linear: what a changed port does
 * to it follows from the change and from how many bytes come after it. */
#pragma once

#include "parse.h"

#define CHECKSUM_SCTP 8
#define CRC32C 0x82f63b78 /* the polynomial, lowest power in the highest bit */
#define LENGTH_BITS 16

/* x to the power 8 * 2^i, modulo the polynomial: 2^i more bytes. */
static const __u32 crc32c_bytes[LENGTH_BITS] = {
	0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18, 0x510ac59a,
	0xb82be955, 0xb8fdb1e7, 0x88e56f72, 0x74c360a4, 0xe4172b16, 0x0d65762a,
	0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc,
};

/* The product of two polynomials. Not static, and without a branch: the
 * verifier goes through it once, and not for every caller's state. */
__noinline __u32 crc32c_multiply(__u32 a, __u32 b)
{
	__u32 product = 0;

	for (int i = 31; i >= 0; i--) {
		product ^= b & -(a >> i & 1);
		b = b >> 1 ^ (CRC32C & -(b & 1));
	}
	return product;
}

/* What to add to the checksum of a packet where the two bytes of a port change
 * by the given bits; length counts them and the bytes behind. Not static, as
 * above. */
__noinline __u32 crc32c_change(__u32 change, __u32 length)
{
	for (int i = 0; i < LENGTH_BITS; i++) {
		if (length >> i & 1)
			change = crc32c_multiply(crc32c_bytes[i], change);
	}
	return change;
}

/* Replaces a port of an SCTP packet. A checksum of zero is one that the device
 * is yet to compute, as that of what a pod on this node sends. */
static __noinline int rewrite_sctp_port(struct __sk_buff *skb, struct context *c, __u32 offset,
					__be16 from, __be16 to)
{
	__u32 sum;

	if (from == to)
		return REASON_NONE;
	if (c->fragment) /* the checksum covers what is not here */
		return REASON_TRANSLATION_FAILED;
	if (bpf_skb_load_bytes(skb, c->l4 + CHECKSUM_SCTP, &sum, sizeof(sum)))
		return REASON_TRANSLATION_FAILED;
	if (sum)
		sum ^= crc32c_change(from ^ to, c->payload_len - offset);
	if (bpf_skb_store_bytes(skb, c->l4 + CHECKSUM_SCTP, &sum, sizeof(sum), 0) ||
	    bpf_skb_store_bytes(skb, c->l4 + offset, &to, sizeof(to), 0))
		return REASON_TRANSLATION_FAILED;
	return REASON_NONE;
}
