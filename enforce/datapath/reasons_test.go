package datapath

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/identity"
)

// flowAB and its kind are packets that the open policy admits.
var (
	opensFar = tcp(addrA+":4000", addrFar+":80", "S")
	farOpens = tcp(addrFar+":4000", addrA+":80", "S")
	opensB   = tcp(addrA+":4000", addrB+":80", "S")
)

// dropStories end in every reason that there is, but not-ready, which needs a
// node without policy.
var dropStories = []story{
	{"spoofed address: another pod's", []step{{pod(podA(), tcp(addrB+":1", addrFar+":80", "S")), "spoofed-address"}}},
	{"spoofed address: the world's", []step{{pod(podA(), tcp(world+":1", addrFar+":80", "S")), "spoofed-address"}}},
	{"spoofed address: the node's", []step{{pod(podA(), tcp(ownHost+":1", addrFar+":80", "S")), "spoofed-address"}}},
	{"spoofed address: no pod of the node's", []step{{pod(podA(), tcp("10.244.1.99:1", addrFar+":80", "S")), "spoofed-address"}}},
	{"spoofed address: through the stack into the tunnel", []step{
		{host("podB", opensFar), "spoofed-address"},
		{host("uplink", tcp(world+":1", addrFar+":80", "S")), "spoofed-address"},
		{host("", tcp("10.244.1.99:1", addrFar+":80", "S")), "spoofed-address"},
	}},
	{"spoofed address: through the stack to a pod", []step{{deliver(podB(), "uplink", opensB), "spoofed-address"}}},
	{"spoofed mac", []step{{pod(endpoint(addrA, "podA", idA, 9), opensFar), "spoofed-mac"}}},
	{"unsupported protocol numbers", []step{
		{onlyIPv4(pod(podA(), numbered(0))), "unsupported-protocol"},
		{onlyIPv4(pod(podA(), numbered(43))), "unsupported-protocol"},
		{onlyIPv4(pod(podA(), numbered(44))), "unsupported-protocol"},
		{onlyIPv4(pod(podA(), numbered(60))), "unsupported-protocol"},
		{pod(podA(), numbered(47)), "tunnel"},
	}},
	{"unsupported link-layer protocols", []step{
		{frame(layers.EthernetTypeARP), "unsupported-protocol"},
		{frame(layers.EthernetTypeDot1Q), "unsupported-protocol"},
	}},
	{"unknown identity: of the sender", []step{{far(5555, farOpens), "unknown-identity"}}},
	{"unknown identity: of a local sender", []step{{relabels(podA(), 5555), ""}, {pod(podA(), opensB), "unknown-identity"}}},
	{"unknown identity: of the receiver", []step{{relabels(podA(), 5555), ""}, {far(idFar, farOpens), "unknown-identity"}}},
	{"unknown identity: no note of a tunnelled sender", []step{{deliver(podA(), "overlay", farOpens), "unknown-identity"}}},
	{"policy egress", []step{
		{loads(egress(egress(openTable(), idA, idFar), idFar, idB)), ""},
		{pod(podA(), opensB), "policy-egress"},
		{pod(podA(), tcp(addrA+":4000", world+":80", "S")), "policy-egress"},
		{pod(podA(), tcp(addrA+":4000", ownHost+":80", "S")), "policy-egress"},
		{far(idFar, farOpens), "policy-egress"},
	}},
	{"policy ingress", []step{
		{loads(ingress(ingress(openTable(), idA, idB), idB)), ""},
		{far(idFar, farOpens), "policy-ingress"},
		{pod(podA(), opensB), "policy-ingress"},
		{deliver(podA(), "uplink", tcp(world+":1", addrA+":80", "S")), "policy-ingress"},
	}},
	{"no peer", []step{
		{pod(podA(), tcp(addrA+":1", "10.244.77.1:80", "S")), "no-peer"},
		{host("", tcp(ownHost+":1", "10.244.77.1:80", "S")), "no-peer"},
		{host("", tcp(ownHost+":1", world+":80", "S")), "no-peer"},
	}},
	{"no endpoint", []step{
		{pod(podA(), tcp(addrA+":1", "10.244.1.99:80", "S")), "no-endpoint"},
		{far(idFar, tcp(addrFar+":1", "10.244.1.99:80", "S")), "no-endpoint"},
		{onlyIPv4(far(idFar, tcp(addrFar+":1", world+":80", "S"))), "no-endpoint"},
		{onlyIPv4(far(idFar, tcp(addrFar+":1", addrThird+":80", "S"))), "no-endpoint"},
		{deliver(podB(), "", tcp(ownHost+":1", addrA+":80", "S")), "no-endpoint"},
	}},
	{"tunnel source", []step{
		{onlyIPv4(far(idFar, tcp(addrThird+":1", addrA+":80", "S"))), "tunnel-source"},
		{onlyIPv4(far(idFar, tcp(addrB+":1", addrA+":80", "S"))), "tunnel-source"},
		{onlyIPv4(far(idFar, tcp("10.244.77.1:1", addrA+":80", "S"))), "tunnel-source"},
		{onlyIPv4(far(identity.World, tcp(world+":1", addrA+":80", "S"))), "tunnel-source"},
		{onlyIPv4(far(identity.Host, tcp(ownHost+":1", addrA+":80", "S"))), "tunnel-source"},
		{onlyIPv4(far(identity.Host, tcp(thirdHost+":1", addrA+":80", "S"))), "tunnel-source"},
	}},
	{"tunnel identity", []step{
		{far(identity.Unknown, farOpens), "tunnel-identity"},
		{far(identity.Host, farOpens), "tunnel-identity"},
		{far(identity.RemoteNode, farOpens), "tunnel-identity"},
		{far(identity.World, farOpens), "tunnel-identity"},
		{far(identity.MaxReserved, farOpens), "tunnel-identity"},
		{far(idFar, tcp(farHost+":1", addrA+":80", "S")), "tunnel-identity"},
		{far(identity.RemoteNode, tcp(farHost+":1", addrA+":80", "S")), "tunnel-identity"},
		{far(identity.Host, tcp(farHost+":1", addrA+":80", "S")), "pod"},
		{far(identity.World, tcp(farHost+":1", addrA+":80", "S")), "pod"},
	}},
	{"tunnel prefix", []step{{edited(farOpens, func(p []byte) { p[31] ^= 1 }), "tunnel-prefix"}}},
	{"tunnel aux", []step{
		{edited(farOpens, func(p []byte) { p[35] |= 4 }), "tunnel-aux"},
		{edited(farOpens, func(p []byte) { p[34] |= 128 }), "tunnel-aux"},
	}},
	{"tunnel checksum", []step{
		{edited(farOpens, func(p []byte) { p[32] ^= 1 }), "tunnel-checksum"},
		{edited(farOpens, func(p []byte) { p[35] ^= 2 }), "tunnel-checksum"},
		{onlyIPv4(edited(farOpens, func(p []byte) { p[35] ^= 1 })), "tunnel-checksum"},
		{edited(farOpens, func(p []byte) { p[19] ^= 1 }), "tunnel-checksum"},
	}},
	{"tunnel untagged", []step{{func(n *node) string {
		f := ethernet(mac(200), mac(201), layers.EthernetTypeIPv4, farOpens.bytes())
		return n.run(Hook(bpfHookHOOK_FROM_OVERLAY), n.objs.FromOverlay, f, skb{Ifindex: uint32(interfaces["overlay"])}).String()
	}, "tunnel-untagged"}}},
	{"reply without flow", []step{
		{farReply(idFar, farOpens), "reply-without-flow"},
		{farReply(idFar, tcp(addrFar+":80", addrA+":4000", "SA")), "reply-without-flow"},
	}},
	{"fragment without first", []step{{pod(podA(), opensFar.fragments(7, 24)[1]), "fragment-without-first"}}},
	{"source route", []step{
		{onlyIPv4(pod(podA(), routed(131, 7, 4, 10, 0, 0, 1))), "source-route"},
		{onlyIPv4(pod(podA(), routed(137, 7, 4, 10, 0, 0, 1))), "source-route"},
		{onlyIPv4(pod(podA(), routed(1, 1, 137, 7, 4, 10, 0, 0, 1))), "source-route"},
		{pod(podA(), routed(131, 7, 8, 10, 0, 0, 1)), "tunnel"},
	}},
	{"icmp unrelated", []step{
		{pod(podA(), icmpError(addrA+":0", addrFar+":0", layers.ICMPv4TypeDestinationUnreachable, farOpens)), "icmp-unrelated"},
		{far(idFar, icmpError(addrFar+":0", addrA+":0", layers.ICMPv4TypeTimeExceeded, opensFar)), "icmp-unrelated"},
		{deliver(podA(), "uplink", icmpError(world+":0", addrA+":0", layers.ICMPv4TypeParameterProblem, opensFar)), "icmp-unrelated"},
		{pod(podA(), opensFar), "tunnel"},
		{onlyIPv4(pod(podA(), icmpError(addrA+":0", addrFar+":0", layers.ICMPv4TypeRedirect, farOpens))), "icmp-unrelated"},
		{pod(podB(), icmpError(addrB+":0", addrFar+":0", layers.ICMPv4TypeDestinationUnreachable, tcp(addrFar+":80", addrA+":4000", "SA"))), "icmp-unrelated"},
		{deliver(podA(), "uplink", icmpError(world+":0", addrA+":0", layers.ICMPv4TypeDestinationUnreachable, farOpens)), "icmp-unrelated"},
	}},
	{"malformed", []step{{onlyIPv4(pod(podA(), opensFar.raw(func(p []byte) { p[3]++ }))), "malformed"}}},
	{"link-local", []step{{func(n *node) string {
		return n.fromPod(sixth(podA()), message6("fe80::2", "ff02::2", layers.ICMPv6TypeRouterSolicitation)).String()
	}, "link-local"}}},
	{"extension header", []step{{func(n *node) string {
		return n.fromPod(sixth(podA()), extended(ipv6(opensFar.bytes()), 60, make([]byte, 8))).String()
	}, "extension-header"}}},
	{"unattested", []step{
		{attests(Enforce), ""},
		{far(idFar, farOpens), "unattested"},
		{attests(Audit), ""},
	}},
	{"translation failed: a piece without TCP's checksum, to a Service", []step{
		{serves(service.Service{Frontends: []service.Frontend{clusterIP}, Backends: []netip.AddrPort{backendB}}), ""},
		{pod(podA(), tcp(addrA+":4000", vip+":80", "S").fragments(3, 16)[0]), "translation-failed"},
	}},
	{"untrusted path", []step{
		{deliver(podA(), "uplink", farOpens), "untrusted-path"},
		{deliver(podA(), "uplink", tcp("10.244.1.99:1", addrA+":80", "S")), "untrusted-path"},
		{deliver(podA(), "uplink", tcp("10.244.77.1:1", addrA+":80", "S")), "untrusted-path"},
	}},
}

// numbered is a packet of a protocol without ports.
func numbered(protocol layers.IPProtocol) ipv4 {
	from, to := netip.MustParseAddrPort(addrA+":0"), netip.MustParseAddrPort(addrFar+":0")
	return newIPv4(from, to, protocol, nil)
}

// routed is a packet of A with one IPv4 option, or several, as raw bytes.
func routed(options ...byte) ipv4 {
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	return opensFar.with(func(h *layers.IPv4) {
		h.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: uint8(len(options)), OptionData: options[2:]}}
	}).raw(func(p []byte) { copy(p[20:], options) })
}

// frame is pod A sending something that is not IPv4.
func frame(kind layers.EthernetType) action {
	return func(n *node) string {
		f := ethernet(mac(1), mac(101), kind, make([]byte, 60))
		return n.run(Hook(bpfHookHOOK_FROM_POD), n.objs.FromPod, f, skb{Ifindex: uint32(interfaces["podA"]), IngressIfindex: uint32(interfaces["podA"])}).String()
	}
}

// edited is the far node sending a packet that was changed after tagging.
func edited(p ipv4, edit func([]byte)) action {
	return func(n *node) string {
		tagged := bytes.Clone(n.tag(n.form(p), farPrefix, idFar, false))
		edit(tagged)
		return n.fromOverlay(tagged).String()
	}
}

func TestDropReasons(t *testing.T) {
	tell(t, dropStories)
	t.Run("not ready", func(t *testing.T) {
		n := newEmptyNode(t)
		must(t, n.SetEndpoint(podA()))
		must(t, n.SetEndpoint(podB()))
		_, err := n.SetLocations(testLocations())
		must(t, err)
		n.play(t, []step{
			{pod(podA(), opensB), "not-ready"},
			{pod(podA(), opensFar), "not-ready"},
			{far(idFar, farOpens), "not-ready"},
			{deliver(podA(), "", tcp(ownHost+":1", addrA+":80", "S")), "not-ready"},
			{host("", tcp(ownHost+":1", addrFar+":80", "S")), "not-ready"},
		})
	})
}

// Every reason has a test that ends in it.
func TestEveryReasonIsTested(t *testing.T) {
	tested := map[string]bool{"not-ready": true}
	for _, s := range dropStories {
		for _, step := range s.steps {
			tested[step.want] = true
		}
	}
	for _, r := range Reasons() {
		if !tested[r.String()] {
			t.Errorf("no test is dropped as %s (%s)", r, r.Text())
		}
	}
}
