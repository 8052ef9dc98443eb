package datapath

import "fmt"

// Reason is why a packet was dropped; numbers are never reused.
type Reason uint8

// The reasons of drops by policy.
const (
	PolicyEgress  = Reason(bpfReasonREASON_POLICY_EGRESS)
	PolicyIngress = Reason(bpfReasonREASON_POLICY_INGRESS)
)

// reasons gives each reason's name, as metrics and flows show it, and what it
// means.
var reasons = [...]struct{ name, text string }{
	bpfReasonREASON_NONE:                   {"none", "not dropped"},
	bpfReasonREASON_MALFORMED:              {"malformed", "headers truncated or inconsistent"},
	bpfReasonREASON_UNSUPPORTED_PROTOCOL:   {"unsupported-protocol", "not IP, a VLAN tag, or a protocol number that cannot cross the tunnel"},
	bpfReasonREASON_SPOOFED_ADDRESS:        {"spoofed-address", "the source address is not the sending interface's"},
	bpfReasonREASON_SPOOFED_MAC:            {"spoofed-mac", "the source MAC is not the pod's"},
	bpfReasonREASON_NOT_READY:              {"not-ready", "no policy is loaded yet"},
	bpfReasonREASON_UNKNOWN_IDENTITY:       {"unknown-identity", "an identity that this node does not know (yet)"},
	bpfReasonREASON_POLICY_EGRESS:          {"policy-egress", "the sender's policies do not admit it"},
	bpfReasonREASON_POLICY_INGRESS:         {"policy-ingress", "the receiver's policies do not admit it"},
	bpfReasonREASON_NO_PEER:                {"no-peer", "no known node owns the destination"},
	bpfReasonREASON_NO_ENDPOINT:            {"no-endpoint", "no pod of this node has the destination address"},
	bpfReasonREASON_TUNNEL_PREFIX:          {"tunnel-prefix", "tunnel packet for another node's prefix"},
	bpfReasonREASON_TUNNEL_SOURCE:          {"tunnel-source", "inner source address is not the sending node's"},
	bpfReasonREASON_TUNNEL_IDENTITY:        {"tunnel-identity", "identity does not fit the inner source address"},
	bpfReasonREASON_TUNNEL_AUX:             {"tunnel-aux", "undefined aux bits are set"},
	bpfReasonREASON_TUNNEL_CHECKSUM:        {"tunnel-checksum", "checksum adjustment is wrong"},
	bpfReasonREASON_TUNNEL_UNTAGGED:        {"tunnel-untagged", "packet in the tunnel without a tag"},
	bpfReasonREASON_REPLY_WITHOUT_FLOW:     {"reply-without-flow", "vouched as a reply to a flow that this node did not open"},
	bpfReasonREASON_FRAGMENT_WITHOUT_FIRST: {"fragment-without-first", "later fragment of a datagram whose first was not seen"},
	bpfReasonREASON_SOURCE_ROUTE:           {"source-route", "unexpired source route option"},
	bpfReasonREASON_ICMP_UNRELATED:         {"icmp-unrelated", "ICMP error about no admitted flow, or a redirect"},
	bpfReasonREASON_TRANSLATION_FAILED:     {"translation-failed", "the kernel refused to rewrite the packet"},
	bpfReasonREASON_UNTRUSTED_PATH:         {"untrusted-path", "a pod's address as source, outside the tunnel"},
	bpfReasonREASON_UNATTESTED:             {"unattested", "an identity that is not verified for the sending node"},
	bpfReasonREASON_LINK_LOCAL:             {"link-local", "IPv6 neighbour discovery, router advertisement, multicast or link-local address"},
	bpfReasonREASON_EXTENSION_HEADER:       {"extension-header", "an IPv6 extension header other than a Fragment header"},
}

// String is the reason's name.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r].name
	}
	return fmt.Sprintf("reason-%d", uint8(r))
}

// Text says in a few words what the reason means.
func (r Reason) Text() string {
	if int(r) < len(reasons) {
		return reasons[r].text
	}
	return "unknown to this version"
}

// Reasons lists every reason of this version, less the zero one.
func Reasons() []Reason {
	list := make([]Reason, 0, len(reasons))
	for r := 1; r < len(reasons); r++ {
		list = append(list, Reason(r))
	}
	return list
}
