package api

import (
	"net/netip"
	"strings"
	"time"

	"github.com/signet-cni/signet/identity"
)

// Flow is one verdict of a node's kernel: the first packet of a flow, a flow
// judged again, or a drop; or the end of a flow. It is not modified after it is made.
type Flow struct {
	Time time.Time `json:"time"`
	Node string    `json:"node"`
	// Direction is that of the pod whose policy decided, or else of the pod on
	// Node: Ingress or Egress.
	Direction  string         `json:"direction"`
	Hook       string         `json:"hook,omitempty"` // where it was judged: "from_pod", …
	Verdict    string         `json:"verdict"`        // Admitted, …
	Reason     string         `json:"reason,omitempty"`
	ReasonText string         `json:"reasonText,omitempty"`
	Revision   uint32         `json:"revision"` // policy revision of the verdict
	Protocol   string         `json:"protocol"` // "TCP", "UDP", …, "protocol-N"
	Src        End            `json:"src"`
	Dst        End            `json:"dst"`
	Service    netip.AddrPort `json:"service,omitzero"` // what the client asked for, if that was a Service
	TCPFlags   string         `json:"tcpFlags,omitempty"`
	Reply      bool           `json:"reply,omitempty"`
	Bytes      uint32         `json:"bytes"` // of the packet
	// ServiceName is the namespace/name of Service.
	ServiceName string `json:"serviceName,omitempty"`
	// Policies are those that decided: of an admitted packet those with a rule
	// that admits it, of a packet that policy dropped those that isolate the
	// pod. None: no policy isolates the pods, or another node judges.
	Policies []PolicyPart `json:"policies,omitempty"`
	// DstPortNames are the names that the destination, a pod of the node, gives
	// to the port; policies may name it by them.
	DstPortNames []string `json:"dstPortNames,omitempty"`
	// Ended tells what an ended flow carried; nil for every other verdict.
	Ended *Ended `json:"ended,omitempty"`
	// Again: the flow was judged before, under another policy or identity.
	Again bool `json:"again,omitempty"`
	// Unattested: the node that sent the packet has not published that a pod of
	// its own has the source's identity.
	Unattested bool `json:"unattested,omitempty"`
}

// Ended sums up a flow. Src is who opened it.
type Ended struct {
	Opened   time.Time `json:"opened"`   // first packet; Time is that of the last
	Sent     Carried   `json:"sent"`     // from Src to Dst
	Answered Carried   `json:"answered"` // from Dst to Src
}

// Carried is what went one way. Packets that segmentation offload joins count
// one by one, their headers once.
type Carried struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"` // IP headers included
}

// PolicyPart is what a policy had to do with a verdict.
type PolicyPart struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Direction string `json:"direction"` // Ingress or Egress
	// Rules are the rules that admit the packet, counted from 0 in the
	// policy's list of the direction; none: it isolates and does not admit.
	Rules []int `json:"rules,omitempty"`
}

// The directions of policies.
const (
	Ingress = "ingress"
	Egress  = "egress"
)

// The verdicts of a Flow.
const (
	Admitted  = "admitted"
	Dropped   = "dropped"
	Forwarded = "forwarded" // the receiving node judges
	Audited   = "audit"     // admitted in audit mode, although policy denies it
	Over      = "ended"     // no verdict: the flow is over, see Ended
)

// Verdicts are all that there are.
var Verdicts = []string{Admitted, Dropped, Forwarded, Audited, Over}

// End is one end of a flow, after the translation of Services.
type End struct {
	Addr     netip.Addr  `json:"addr,omitzero"`
	Port     uint16      `json:"port,omitempty"`
	Identity identity.ID `json:"identity"` // Unknown where only the other node knows
	// IdentityName is a reserved identity's name: "host", "world", …
	IdentityName string `json:"identityName,omitempty"`
	Namespace    string `json:"namespace,omitempty"` // of the pod or of the identity
	// Pod is known for the pods of the node that tells the flow.
	Pod    string            `json:"pod,omitempty"`
	Labels map[string]string `json:"labels,omitempty"` // of the pod, those that count
}

// Record is one line of a stream of flows: a flow, or a note that some were
// lost.
type Record struct {
	*Flow
	// Lost is how many flows the reader missed before this line because it
	// was slower than they came. No Flow comes with it.
	Lost uint64 `json:"lost,omitempty"`
	Unsent
}

// Unsent is how many verdicts never became flows.
type Unsent struct {
	RingFull   uint64 `json:"ringFull,omitempty"`   // the ring to the agent was full
	Suppressed uint64 `json:"suppressed,omitempty"` // drops over the rate limit, only counted
}

var protocolNames = map[uint8]string{1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP"}

// tcpFlags from the lowest bit up (RFC 9293 section 3.1).
var tcpFlags = [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}

func flagNames(flags uint8) string {
	var set []string
	for bit, name := range tcpFlags {
		if flags&(1<<bit) != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, ",")
}
