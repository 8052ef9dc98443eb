package api

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/signet-cni/signet/identity"
)

// Event is a verdict as the kernel tells it: numbers and addresses.
type Event struct {
	Time               time.Time
	Hook               string
	Verdict            string
	Reason, ReasonText string // "" unless dropped
	Revision           uint32
	Protocol           uint8 // IANA number
	TCPFlags           uint8
	Reply              bool
	Src, Dst           netip.AddrPort
	Service            netip.AddrPort // invalid if the flow was not translated
	SrcIdentity        identity.ID
	DstIdentity        identity.ID
	Bytes              uint32
	Policies           []PolicyPart
	DstPortNames       []string
	Ended              *Ended
	Unattested         bool
	Again              bool
	Direction          string
}

// Names tells what numbers and addresses stand for, as far as a node knows.
// Its functions are called for every event and must not block.
type Names struct {
	Node string
	// Set gives the labels of an identity.
	Set func(identity.ID) (identity.Set, bool)
	// Pod gives this node's pod that has an address.
	Pod func(netip.Addr) (Endpoint, bool)
	// Service gives the namespace/name of what answers at an address, "" if
	// that is not known.
	Service func(protocol uint8, at netip.AddrPort) string
}

// Enrich makes a Flow of an event.
func (n Names) Enrich(e Event) Flow {
	flow := Flow{
		Time: e.Time, Node: n.Node, Direction: n.direction(e), Hook: e.Hook, Verdict: e.Verdict, Again: e.Again,
		Reason: e.Reason, ReasonText: e.ReasonText, Revision: e.Revision,
		Protocol: protocolName(e.Protocol), TCPFlags: flagNames(e.TCPFlags),
		Src: n.end(e.Src, e.SrcIdentity), Dst: n.end(e.Dst, n.destination(e)),
		Service: e.Service, Reply: e.Reply, Bytes: e.Bytes, Policies: e.Policies, Ended: e.Ended, DstPortNames: e.DstPortNames, Unattested: e.Unattested,
	}
	if e.Service.IsValid() {
		flow.ServiceName = n.Service(e.Protocol, e.Service)
	}
	return flow
}

// direction of an event that names none: outwards if its source is a pod of
// this node.
func (n Names) direction(e Event) string {
	if e.Direction != "" {
		return e.Direction
	}
	if _, local := n.Pod(e.Src.Addr()); local {
		return Egress
	}
	return Ingress
}

// destination gives the identity of the destination: where the kernel did not
// need it, that of the pod that has the address. The same would be wrong for a
// source, whose address can be forged.
func (n Names) destination(e Event) identity.ID {
	if pod, ok := n.Pod(e.Dst.Addr()); ok && e.DstIdentity == identity.Unknown {
		return pod.Identity
	}
	return e.DstIdentity
}

// end names one end by its identity, and by the pod that has the address if
// the identity is the pod's or from the same namespace: a pod whose labels
// changed may still speak under its old one.
func (n Names) end(at netip.AddrPort, id identity.ID) End {
	end := End{Addr: at.Addr(), Port: at.Port(), Identity: id, IdentityName: id.Name()}
	if id.Reserved() {
		return end
	}
	if set, ok := n.Set(id); ok {
		end.Namespace, end.Labels = set.Namespace, set.PodLabels
	}
	if pod, ok := n.Pod(at.Addr()); ok && (pod.Identity == id || pod.Namespace == end.Namespace) {
		end.Namespace, end.Pod = pod.Namespace, pod.Pod
	}
	return end
}

func protocolName(number uint8) string {
	if name, ok := protocolNames[number]; ok {
		return name
	}
	return fmt.Sprintf("protocol-%d", number)
}
