/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Services: the address that a pod asks for becomes a backend before any
 * verdict, and the answer gets the asked address back before the pod sees it. */
#pragma once

#include "flow.h"
#include "locate.h"
#include "rewrite.h"

/* Sends the packet to addr:port instead; nat_* keep what was asked for. */
static __noinline int translate_destination(struct __sk_buff *skb, struct context *c,
					    const struct addr *addr, __be16 port)
{
	struct rewrite r = {
		.from = c->dst,
		.to = *addr,
		.from_port = c->dst_port,
		.to_port = port,
	};

	c->nat_addr = c->dst;
	c->nat_port = c->dst_port;
	c->translated = 1;
	c->dst = *addr;
	c->dst_port = port;
	return rewrite_end(skb, c, &r);
}

/* Makes an ICMP error quote what the client has sent. It may be from a router
 * on the way, whose address stays. */
static __noinline int untranslate_quoted(struct __sk_buff *skb, struct context *c)
{
	struct rewrite r = {
		.from = c->quoted_dst,
		.to = c->nat_addr,
		.from_port = c->dst_port,
		.to_port = c->nat_port,
	};

	return rewrite_quoted(skb, c, &r, addr_equal(&c->src, &c->quoted_dst));
}

static __noinline int untranslate_end(struct __sk_buff *skb, struct context *c)
{
	struct rewrite r = {
		.from = c->src,
		.to = c->nat_addr,
		.from_port = c->src_port,
		.to_port = c->nat_port,
		.source = true,
	};

	return rewrite_end(skb, c, &r);
}

/* Gives an answer the source address that its client asked for. */
static __always_inline int untranslate_source(struct __sk_buff *skb, struct context *c)
{
	if (!c->to_client)
		return REASON_NONE;
	return c->related ? untranslate_quoted(skb, c) : untranslate_end(skb, c);
}

static __always_inline bool is_host(const struct addr *a)
{
	struct location *l = locate(a);

	return l && (l->kind == LOCATION_LOCAL_HOST || l->kind == LOCATION_REMOTE_HOST);
}

/* What stands for every node's address: 0.0.0.0, of IPv6 :: (NodePort). */
static __always_inline void any_node(struct context *c, struct addr *a)
{
	if (c->v6)
		addr_from_halves(a, 0, 0);
	else
		addr_from_v4(a, 0);
}

/* The service that answers at the packet's destination; fills in its key. A
 * copy, as the map's entry may be used again for another service. */
static __noinline bool service_of(struct context *c, struct service_key *key, struct service *to)
{
	struct service *service;

	key->addr = c->dst;
	key->port = c->dst_port;
	key->protocol = c->protocol;
	service = bpf_map_lookup_elem(&services, key);
	if (!service && is_host(&c->dst)) {
		any_node(c, &key->addr);
		service = bpf_map_lookup_elem(&services, key);
	}
	if (!service)
		return false;
	*to = *service;
	return true;
}

static __noinline struct backend *backend_at(__u64 set, __u32 slot)
{
	struct backend_key key = { .backends = set, .slot = slot };

	return bpf_map_lookup_elem(&backends, &key);
}

/* A set's backends stand in order (toServices). */
static __always_inline int backend_compare(const struct addr *addr, __be16 port,
					   const struct backend *backend)
{
	int order = addr_compare(addr, &backend->addr);

	return order ? order : (int)port - (int)backend->port;
}

#define MAX_HALVINGS 32

static __noinline bool has_backend(struct service *service, const struct addr *addr, __be16 port)
{
	__u32 low = 0, high = service->count;

	for (int i = 0; i < MAX_HALVINGS && low < high; i++) {
		__u32 middle = low + (high - low) / 2;
		struct backend *backend = backend_at(service->backends, middle);
		int order;

		if (!backend)
			return false;
		order = backend_compare(addr, port, backend);
		if (!order)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

/* The backend that the client has by affinity, if it is still one. */
static __noinline struct backend *affine_backend(struct affinity_key *client,
						 struct service *service, __u64 now)
{
	struct affinity *known = bpf_map_lookup_elem(&affinities, client);

	if (!known || (__s64)(now - known->seen) >= (__s64)(service->affinity * NS_PER_SECOND))
		return NULL;
	if (known->backends != service->backends) {
		if (!has_backend(service, &known->backend.addr, known->backend.port))
			return NULL;
		known->backends = service->backends;
	}
	known->seen = now;
	return &known->backend;
}

/* The client's backend by affinity, else a random one. */
static __noinline struct backend *backend_of(struct context *c, struct service *service,
					     struct service_key *key)
{
	struct affinity_key client = { .client = c->src, .service = *key };
	struct affinity entry = { .seen = c->now, .backends = service->backends };
	struct backend *backend = NULL;

	if (service->affinity)
		backend = affine_backend(&client, service, c->now);
	if (backend)
		return backend;
	backend = backend_at(service->backends, bpf_get_prandom_u32() % service->count);
	if (backend && service->affinity) {
		entry.backend = *backend;
		bpf_map_update_elem(&affinities, &client, &entry, BPF_ANY);
	}
	return backend;
}

/* Remembers the choice under the address that the pod asked for. */
static __noinline int remember_backend(struct context *c, const struct addr *addr, __be16 port)
{
	struct flow *flow = &c->flow;

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->seen = c->now;
	flow->nat_addr = *addr;
	flow->nat_port = port;
	flow->flags = FLOW_SERVICE | (c->low ? FLOW_LOW_OPENED : 0);
	flow->revision = c->revision;
	return bpf_map_update_elem(&flows, &c->key, flow, BPF_ANY);
}

/* Is what the flow tells good for this packet without another look at the
 * services? For a connection always; for its first packet and for datagrams
 * until services have changed. */
static __always_inline bool choice_holds(struct context *c, struct flow *flow)
{
	if (c->protocol != IPPROTO_UDP && !c->opening)
		return true;
	return !(flow->flags & FLOW_CLOSING) && flow->revision == c->revision;
}

/* Chooses a backend, the flow's own if the service still has it. */
static __noinline int choose_backend(struct __sk_buff *skb, struct context *c, struct flow *flow)
{
	struct service_key key = {};
	struct service service = {};
	struct backend *backend;
	struct addr addr;
	__be16 port;

	/* One without backends goes to the host stack, where kube-proxy
	 * refuses it. */
	if (!service_of(c, &key, &service) || !service.count)
		return REASON_NONE;
	if (flow && flow->flags & FLOW_SERVICE && !(flow->flags & FLOW_CLOSING) &&
	    has_backend(&service, &flow->nat_addr, flow->nat_port)) {
		addr = flow->nat_addr;
		port = flow->nat_port;
	} else {
		backend = backend_of(c, &service, &key);
		if (!backend)
			return REASON_NONE;
		addr = backend->addr;
		port = backend->port;
	}
	if (remember_backend(c, &addr, port))
		return REASON_TRANSLATION_FAILED;
	return translate_destination(skb, c, &addr, port);
}

/* A pod's ICMP error about an answer of a Service is its backend's, and quotes
 * what the backend has sent. */
static __noinline int to_backend_quoted(struct __sk_buff *skb, struct context *c, struct flow *flow)
{
	struct rewrite r = { .from = c->quoted_src, .from_port = c->src_port, .source = true };

	if (!flow || !(flow->flags & FLOW_SERVICE))
		return REASON_NONE;
	r.to = flow->nat_addr;
	r.to_port = flow->nat_port;
	c->quoted_src = r.to;
	c->dst = r.to;
	c->src_port = r.to_port;
	return rewrite_quoted(skb, c, &r, true);
}

/* May the packet be for a Service? Not if its flow is known as one between its
 * own ends. */
static __always_inline bool may_need_backend(struct context *c, struct flow *flow)
{
	if (c->related)
		return true;
	return has_ports(c->protocol) &&
	       (!flow || flow->flags & FLOW_SERVICE || !choice_holds(c, flow));
}

/* If the destination is a Service, makes it a backend. */
static __noinline int to_backend(struct __sk_buff *skb, struct context *c, struct flow *flow)
{
	if (c->related)
		return to_backend_quoted(skb, c, flow);
	if (!flow || !choice_holds(c, flow))
		return choose_backend(skb, c, flow);
	flow_touch(c, flow, false);
	return translate_destination(skb, c, &flow->nat_addr, flow->nat_port);
}
