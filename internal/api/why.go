package api

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/signet-cni/signet/identity"
)

// WhyQuery asks a node for its verdict on a packet that opens a flow. As
// parameters of a request:
//
//	from=ADDRESS to=ADDRESS
//	from-identity=N to-identity=N   of pods of other nodes; else the node's own
//	protocol=tcp|udp|sctp|icmp port=N
type WhyQuery struct {
	From, To     netip.Addr
	FromID, ToID identity.ID // Unknown: the node finds out
	Protocol     string      // lower case
	Port         uint16      // 0: none, as for ICMP
}

// ProtocolNumbers are the protocols that can be asked for.
var ProtocolNumbers = map[string]uint8{"icmp": 1, "tcp": 6, "udp": 17, "sctp": 132}

// Values gives the query as parameters of a request.
func (q WhyQuery) Values() url.Values {
	v := url.Values{"from": {q.From.String()}, "to": {q.To.String()}, "protocol": {q.Protocol}}
	if q.FromID != identity.Unknown {
		v.Set("from-identity", q.FromID.String())
	}
	if q.ToID != identity.Unknown {
		v.Set("to-identity", q.ToID.String())
	}
	if q.Port != 0 {
		v.Set("port", strconv.Itoa(int(q.Port)))
	}
	return v
}

// ParseWhyQuery is the inverse of Values.
func ParseWhyQuery(v url.Values) (WhyQuery, error) {
	var q WhyQuery
	var errs [5]error
	q.From, errs[0] = netip.ParseAddr(v.Get("from"))
	q.To, errs[1] = netip.ParseAddr(v.Get("to"))
	q.FromID, errs[2] = parseOptionalID(v.Get("from-identity"))
	q.ToID, errs[3] = parseOptionalID(v.Get("to-identity"))
	q.Protocol, q.Port, errs[4] = ParsePort(v.Get("port") + "/" + v.Get("protocol"))
	return q, errors.Join(errs[:]...)
}

func parseOptionalID(s string) (identity.ID, error) {
	if s == "" {
		return identity.Unknown, nil
	}
	return identity.Parse(s)
}

// ParsePort reads "80/tcp", "80" (TCP) or "icmp".
func ParsePort(s string) (protocol string, port uint16, err error) {
	number, protocol, found := strings.Cut(strings.ToLower(strings.TrimPrefix(s, "/")), "/")
	if !found {
		protocol = "tcp"
		if _, isProtocol := ProtocolNumbers[number]; isProtocol {
			number, protocol = "", number
		}
	}
	if _, ok := ProtocolNumbers[protocol]; !ok {
		return "", 0, fmt.Errorf("protocol %q: want tcp, udp, sctp or icmp", protocol)
	}
	if protocol == "icmp" {
		if number != "" {
			return "", 0, fmt.Errorf("port %q: ICMP has none", s)
		}
		return protocol, 0, nil
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("port %q: want a number from 1 to 65535 and a protocol, such as 80/tcp", s)
	}
	return protocol, uint16(n), nil
}

// Why is a node's verdict on a packet, and all that bears on it.
type Why struct {
	Node     string `json:"node"`
	Revision uint32 `json:"revision"` // of the policy that was asked
	From     WhyEnd `json:"from"`
	To       WhyEnd `json:"to"`
	// Verdict is Admitted, Dropped or Audited; of the compiled policy, which
	// Kernel may contradict.
	Verdict string       `json:"verdict"`
	Egress  WhyDirection `json:"egress"`
	Ingress WhyDirection `json:"ingress"`
	// Kernel is what the maps of the node's kernel say to the same packet.
	Kernel Kernel `json:"kernel"`
}

// WhyEnd is one end, as the node knows it.
type WhyEnd struct {
	Addr         netip.Addr        `json:"addr"`
	Identity     identity.ID       `json:"identity"`
	IdentityName string            `json:"identityName,omitempty"` // of a reserved one
	Namespace    string            `json:"namespace,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Local        bool              `json:"local"` // a pod of the node
}

// WhyDirection is one direction of a verdict.
type WhyDirection struct {
	Admitted bool        `json:"admitted"`
	Text     string      `json:"text"` // why, in a few words
	Policies []WhyPolicy `json:"policies,omitempty"`
}

// WhyPolicy is a policy of the subject's namespace that has rules for the
// direction.
type WhyPolicy struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Isolates  bool   `json:"isolates"`
	// Because says why it does not select the pod, or why that is unclear.
	Because string    `json:"because,omitempty"`
	Rules   []WhyRule `json:"rules,omitempty"`
}

// WhyRule is a rule of a policy that isolates.
type WhyRule struct {
	Index  int      `json:"index"` // from 0
	Text   string   `json:"text"`
	Admits bool     `json:"admits"`
	Misses []string `json:"misses,omitempty"`
}

// Kernel is the check of a verdict against the kernel's maps.
type Kernel struct {
	Verdict  string `json:"verdict"`
	Revision uint32 `json:"revision"`
	// Differences say what the maps hold otherwise than the compiled policy;
	// none: they agree.
	Differences []string `json:"differences,omitempty"`
}
