/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys and values of the maps, and the scratch record of one packet. User
 * space reads the layout from BTF (bpf2go), so every gap is a named field that
 * is written as zero. */
#pragma once

#include "kernel.h"

/* An address of either family; IPv4 is mapped (::ffff:a.b.c.d). */
struct addr {
	__u8 bytes[16];
} __attribute__((aligned(8)));

/* Identities with a fixed meaning (identity/id.go). */
enum identity_number {
	IDENTITY_UNKNOWN = 0,
	IDENTITY_HOST = 1,
	IDENTITY_REMOTE_NODE = 2,
	IDENTITY_WORLD = 3,
	IDENTITY_MAX_RESERVED = 255,
};

enum endpoint_flags {
	ENDPOINT_SHAPED = 1, /* must pass the host interface's queueing disciplines */
};

/* A pod of this node. */
struct endpoint {
	__u32 ifindex; /* host side of its interface pair */
	__u32 identity;
	__u8 mac[6];
	__u8 host_mac[6];
	__u32 flags; /* endpoint_flags */
};

enum endpoint_limits {
	ENDPOINT_SLOTS = 2048, /* half of them for each family; a power of two */
};

/* An endpoint in the slot that its address names (endpoint_slot). */
struct endpoint_slot {
	struct addr addr;
	struct endpoint endpoint;
	__u32 live; /* 0: nobody's, whatever the rest says */
	__u32 pad;
};

enum location_kind {
	LOCATION_WORLD = 0, /* in no known range */
	LOCATION_LOCAL_HOST = 1,
	LOCATION_LOCAL_PODS = 2,
	LOCATION_REMOTE_HOST = 3,
	LOCATION_REMOTE_PODS = 4,
	LOCATION_CLUSTER = 5, /* cluster range that no known node owns */
};

struct prefix_key {
	__u32 prefix_len; /* bits, 0 to 128 */
	__u8 addr[16];
};

/* Where the addresses of a prefix live. */
struct location {
	__be64 prefix; /* theirs in the tunnel: the node's tunnel /64, of IPv6 its pod /64 */
	__be64 node;   /* the node's tunnel /64 */
	__u32 kind;    /* location_kind */
	__u32 host;    /* number of a node's IPv6 address in the tunnel, else 0 */
};

enum wire_limits {
	MAX_HOST_NUMBER = 15, /* numbers of a node's IPv6 addresses in the tunnel: from 1 */
};

/* What stands for a node's IPv6 address in the tunnel. */
struct host_key {
	__be64 prefix; /* the node's pod /64 */
	__u32 number;
	__u32 pad;
};

enum side_flags {
	SIDE_INGRESS_CIDRS = 1,
	SIDE_EGRESS_CIDRS = 2,
	SIDE_AUDIT = 4, /* what its policies deny is admitted, and told */
};

/* Both sides of a policy change have rows of their own: revision & 1 picks the
 * one in force, so that a single store switches every identity at once, and no
 * row that a program may be reading is ever written. */
struct identity_key {
	__u32 identity;
	__u32 side;
};

/* One side's view of an identity (policy.Entry). */
struct side {
	__u64 class;
	__u64 ingress; /* rule set, 0: not isolated */
	__u64 egress;
	__u32 flags; /* side_flags */
	__u32 pad;
};

struct rule_key {
	__u64 rule_set;
	__u64 class;
};

struct rule_cidr_key {
	__u32 prefix_len; /* 96 + 0 to 128 */
	__u8 rule_set[8]; /* native order */
	__u8 family[4];   /* 4 or 6, then zeroes: ::/0 holds no IPv4 address */
	__u8 addr[16];
};

/* A row's value (policy.Ports). */
struct ports {
	__u64 set;
	__u32 flags; /* ports_flags */
	__u32 pad;
};

enum ports_flags {
	PORTS_ALL_TRAFFIC = 1,
	PORTS_ALL_TCP = 2,
	PORTS_ALL_UDP = 4,
	PORTS_ALL_SCTP = 8,
	PORTS_SOME_TCP = 16,
	PORTS_SOME_UDP = 32,
	PORTS_SOME_SCTP = 64,
	PORTS_NAMED = 128,
};

/* 512 consecutive ports of a port set. */
struct chunk_key {
	__u64 set;
	__u8 protocol;
	__u8 chunk; /* port >> 9 */
	__u8 pad[6];
};

struct chunk {
	__u64 words[8];
};

struct name_key {
	__u64 set;
	__u64 name;
	__u8 protocol;
	__u8 pad[7];
};

/* The names that a local pod's port has. */
struct pod_port_key {
	struct addr addr;
	__be16 port;
	__u8 protocol;
	__u8 pad[5];
};

#define MAX_PORT_NAMES 4

struct pod_port_names {
	__u64 names[MAX_PORT_NAMES]; /* 0: none */
};

/* A flow's key does not tell its direction: both ends in order. */
struct flow_key {
	struct addr low, high;
	__be16 low_port, high_port;
	__u8 protocol;
	__u8 pad[3];
};

enum flow_flags {
	FLOW_LOW_OPENED = 1, /* the low end is the initiator, else the high end */
	FLOW_ADMITTED = 2,   /* judged here, under revision */
	FLOW_OPENED = 4,     /* sent by this node, judged by the receiver */
	FLOW_TRANSLATED = 8, /* the initiator asked for nat_addr:nat_port */
	FLOW_SERVICE = 16,   /* not a flow: nat_addr:nat_port is the chosen backend */
	FLOW_CLOSING = 32,   /* FIN or RST was seen */
	FLOW_ANSWERED = 64,  /* the responder sent something */
	FLOW_CROSSED = 128,  /* sent by this node too, before the far end opened it;
			      * FLOW_TRANSLATED is then about this node's end */
};

/* Idle times after which an entry no longer speaks for a packet, in seconds. */
enum idle_seconds {
	IDLE_TCP_ESTABLISHED = 86400,
	IDLE_TCP_OTHER = 60,
	IDLE_UDP = 180,
	IDLE_ICMP = 30,
	IDLE_OTHER = 600,
};

/* How the far end is reached from this node. */
enum flow_path {
	PATH_NONE = 0,
	PATH_LOCAL = 1,  /* a pod of this node, hook to hook */
	PATH_TUNNEL = 2, /* another node */
	PATH_STACK = 3,  /* through the host's own stack */
};

/* What every packet reads or writes comes first. */
struct flow {
	__u64 seen;         /* coarse monotonic ns of the last packet */
	__be16 nat_port;    /* see nat_addr */
	__u8 flags;         /* flow_flags */
	__u8 path;          /* flow_path */
	__u32 revision;     /* under which it was last judged */
	__u32 src_identity; /* initiator's */
	__u32 dst_identity; /* responder's, 0 if only the receiver knows */
	__u64 packets[2];   /* by the initiator, by the responder */
	__u64 bytes[2];     /* of these, with their IP headers */
	__be64 prefix;      /* far node's tunnel /64 when path is PATH_TUNNEL */
	__u64 opened;       /* coarse monotonic ns of the first packet */
	struct addr nat_addr;
};

/* What later fragments of a datagram lack. */
struct fragment_key {
	struct addr src, dst;
	__be32 id;
	__u8 protocol;
	__u8 pad[3];
};

struct fragment_ports {
	__be16 src, dst;
	__u32 pad;
};

struct service_key {
	struct addr addr; /* zero: any address of any node (NodePort) */
	__be16 port;
	__u8 protocol;
	__u8 pad[5];
};

struct service {
	__u64 backends; /* the set's number */
	__u32 count;
	__u32 affinity; /* seconds, 0: none */
};

struct backend_key {
	__u64 backends;
	__u32 slot; /* 0 to count-1 */
	__u32 pad;
};

struct backend {
	struct addr addr;
	__be16 port;
	__u8 pad[6];
};

struct affinity_key {
	struct addr client;
	struct service_key service;
};

struct affinity {
	__u64 seen; /* coarse monotonic ns of the last new connection */
	__u64 backends;
	struct backend backend;
};

/* Who a tunnel packet that entered the host stack came from. */
struct tunnel_source {
	__be64 prefix;
	__u32 identity;
	__u32 pad;
};

/* The identity is verified for the node: its pods have it. */
struct attested_key {
	__be64 prefix; /* the node's tunnel /64 */
	__u32 identity;
	__u32 pad;
};

/* What becomes of a packet whose identity is not verified for its node. */
enum attestation {
	ATTESTATION_AUDIT = 0,   /* judged as any other, and counted */
	ATTESTATION_ENFORCE = 1, /* dropped */
};

struct settings {
	__u32 attestation; /* enum attestation */
	__u32 detours;     /* 0: the map of that name is empty */
};

struct drop_count {
	__u64 packets;
	__u64 bytes;
};

struct state {
	__u32 revision; /* 0: no policy loaded, nothing passes */
	__u32 pad;
};

enum hook {
	HOOK_FROM_POD = 1,
	HOOK_TO_OVERLAY = 2,
	HOOK_FROM_OVERLAY = 3,
	HOOK_TO_POD = 4,
};

enum verdict {
	VERDICT_ADMITTED = 1,
	VERDICT_DROPPED = 2,
	VERDICT_FORWARDED = 3, /* into the tunnel: the receiver judges */
	VERDICT_AUDIT = 4,     /* admitted, although policy denies it: reason tells */
};

/* Packet marks. They leave kube-proxy's bits 0x4000 and 0x8000 alone. */
enum mark {
	MARK_TAGGED = 0x53470000, /* between from_pod and to_overlay: the tag is in place */
	/* On its way through the host stack; what answers it does not take that
	 * way, so connection tracking must not follow it (internal/masquerade). */
	MARK_UNTRACKED = 0x53480000,
	MARK_DELIVERED = 0x53490000, /* between from_pod and to_pod: all is done */
};

/* One verdict, as user space reads it from the ring. */
struct event {
	__u64 time; /* monotonic ns */
	struct addr src, dst;
	struct addr service; /* address that the client asked for, zero if none */
	__be16 src_port, dst_port, service_port;
	__u8 protocol;
	__u8 verdict;
	__u8 reason;
	__u8 hook;
	__u8 tcp_flags;
	__u8 reply;
	__u32 src_identity, dst_identity;
	__u32 revision;
	__u32 length;    /* bytes of the packet */
	__u8 unattested; /* the source's identity is not verified for its node */
	__u8 again;      /* the flow was judged before */
	__u8 pad[2];
};

/* Tokens of one CPU's drop events. */
struct event_budget {
	__u64 refilled; /* ns */
	__u64 tokens;
	__u64 suppressed;
	__u64 lost; /* ring full */
};

/* Everything known of the packet in hand; one a CPU, never on the stack. What
 * stands in front of now is zero at first, the rest whatever it was. */
struct context {
	/* Real ends and ports; echo: identifier and the request's ICMP type. */
	struct addr src, dst;
	__be16 src_port, dst_port;
	__u8 protocol;
	__u8 tcp_flags;
	__u8 hook;
	__u8 reply;    /* travels against the flow's opening direction */
	__u8 opening;  /* TCP SYN without ACK, SCTP INIT */
	__u8 related;  /* ICMP error: the ports and quoted_* are the quoted flow's */
	__u8 fragment; /* fragment_kind */
	__u8 has_ports;
	__u32 l3; /* offset of the IP header in the packet */
	__u32 l4; /* offset of what follows IP headers */
	__u32 src_identity, dst_identity;
	__u32 revision;
	__u32 path; /* flow_path */
	__be64 prefix;
	struct addr nat_addr;
	__be16 nat_port;
	__u8 translated; /* nat_addr:nat_port is what the client asked for */
	__u8 dont_fragment;
	__u32 fragment_field; /* flags and offset in IPv4's form, host order */
	__u32 fragment_id;    /* identification, host order */
	__u8 traffic_class, ttl, header_words, tagged_reply;
	__u32 payload_len; /* bytes after the IP headers (not options) */
	__u32 length;      /* bytes of the packet with its IP headers (not options) */
	__u32 segments;    /* packets on the wire that it stands for */
	__u8 quoted_protocol, quoted_words;
	__u8 kept_flags; /* of the flow that the packet opens anew */
	__u8 stale;      /* a flow of its sender exists, but must be judged anew */
	__u8 to_client;  /* the receiver is who asked for nat_addr:nat_port */
	__u8 counted;    /* an earlier hook has counted the packet */
	__u8 audit;      /* reason for which policy would have dropped it */
	__u8 unattested; /* src_identity is not verified for the sending node */
	__u8 again;      /* its flow had to be judged anew */
	__u8 v6;         /* it is an IPv6 packet, whatever the tunnel makes of it */
	__u8 low;        /* the sender is the low end of key */
	__u8 pad;
	__u64 now;                          /* coarse monotonic ns */
	struct flow_key key;                /* of its flow, see flow_find */
	struct addr quoted_src, quoted_dst; /* if related */
	struct flow flow;                   /* scratch of the flow table's writer */
};

_Static_assert(sizeof(struct addr) == 16, "addr");
_Static_assert(sizeof(struct endpoint) == 24, "endpoint");
_Static_assert(sizeof(struct endpoint_slot) == 48, "endpoint_slot");
_Static_assert(sizeof(struct location) == 24, "location");
_Static_assert(sizeof(struct host_key) == 16, "host_key");
_Static_assert(sizeof(struct prefix_key) == 20, "prefix_key");
_Static_assert(sizeof(struct identity_key) == 8, "identity_key");
_Static_assert(sizeof(struct side) == 32, "side");
_Static_assert(sizeof(struct rule_cidr_key) == 32, "rule_cidr_key");
_Static_assert(sizeof(struct ports) == 16, "ports");
_Static_assert(sizeof(struct chunk_key) == 16, "chunk_key");
_Static_assert(sizeof(struct name_key) == 24, "name_key");
_Static_assert(sizeof(struct pod_port_key) == 24, "pod_port_key");
_Static_assert(sizeof(struct flow_key) == 40, "flow_key");
_Static_assert(sizeof(struct flow) == 88, "flow");
_Static_assert(sizeof(struct fragment_key) == 40, "fragment_key");
_Static_assert(sizeof(struct service_key) == 24, "service_key");
_Static_assert(sizeof(struct service) == 16, "service");
_Static_assert(sizeof(struct backend_key) == 16, "backend_key");
_Static_assert(sizeof(struct backend) == 24, "backend");
_Static_assert(sizeof(struct affinity_key) == 40, "affinity_key");
_Static_assert(sizeof(struct affinity) == 40, "affinity");
_Static_assert(sizeof(struct attested_key) == 16, "attested_key");
_Static_assert(sizeof(struct event) == 88, "event");
