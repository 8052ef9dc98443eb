package api

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-cni/signet/identity"
)

// Query asks for flows. As parameters of a request:
//
//	follow=true        go on with new flows
//	last=N             of those kept, only the last N that fit; 0: none
//	since=TIME         not before TIME (RFC 3339)
//	namespace= pod= pod-address= identity= label=KEY=VALUE
//	policy= verdict= reason= protocol= port=   see Filter
//
// Parameters pod-address and label may be repeated.
type Query struct {
	Follow bool
	// Last limits the flows of the past; negative: all that are kept.
	Last  int
	Since time.Time // zero: as far back as the node remembers
	Filter
}

// All asks for every flow that is kept.
var All = Query{Last: -1}

// Values gives the query as parameters of a request.
func (q Query) Values() url.Values {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	if q.Follow {
		v.Set("follow", "true")
	}
	if q.Last >= 0 {
		v.Set("last", strconv.Itoa(q.Last))
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.Format(time.RFC3339Nano))
	}
	set("namespace", q.Namespace)
	set("pod", q.Pod)
	for _, addr := range q.PodAddrs {
		v.Add("pod-address", addr.String())
	}
	if q.Identity != nil {
		v.Set("identity", q.Identity.String())
	}
	for _, key := range slices.Sorted(maps.Keys(q.Labels)) {
		v.Add("label", key+"="+q.Labels[key])
	}
	set("policy", q.Policy)
	set("verdict", q.Verdict)
	set("reason", q.Reason)
	set("protocol", q.Protocol)
	if q.Port != 0 {
		v.Set("port", strconv.Itoa(int(q.Port)))
	}
	return v
}

// ParseQuery is the inverse of Values. It refuses parameters that it does not
// know: a filter passed over would show too much as if it were all there is.
func ParseQuery(values url.Values) (Query, error) {
	q := All
	for _, key := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[key] {
			parse, ok := parameters[key]
			if !ok {
				return Query{}, fmt.Errorf("unknown parameter %.40q: is the agent older than the CLI?", key)
			}
			if err := parse(&q, value); err != nil {
				return Query{}, fmt.Errorf("parameter %s: %w", key, err)
			}
		}
	}
	return q, nil
}

var parameters = map[string]func(*Query, string) error{
	"follow":      func(q *Query, s string) (err error) { q.Follow, err = strconv.ParseBool(s); return },
	"last":        (*Query).parseLast,
	"since":       func(q *Query, s string) (err error) { q.Since, err = time.Parse(time.RFC3339Nano, s); return },
	"namespace":   func(q *Query, s string) error { q.Namespace = s; return nil },
	"pod":         func(q *Query, s string) error { q.Pod = s; return nil },
	"pod-address": (*Query).parsePodAddr,
	"identity":    (*Query).ParseIdentity,
	"label":       (*Query).ParseLabel,
	"policy":      func(q *Query, s string) error { q.Policy = s; return nil },
	"verdict":     (*Query).ParseVerdict,
	"reason":      func(q *Query, s string) error { q.Reason = s; return nil },
	"protocol":    func(q *Query, s string) error { q.Protocol = s; return nil },
	"port":        (*Query).parsePort,
}

func (q *Query) parseLast(s string) (err error) {
	if q.Last, err = strconv.Atoi(s); err == nil && q.Last < 0 {
		return errors.New("negative")
	}
	return err
}

func (q *Query) parsePodAddr(s string) error {
	addr, err := netip.ParseAddr(s)
	q.PodAddrs = append(q.PodAddrs, addr)
	return err
}

func (q *Query) parsePort(s string) error {
	port, err := strconv.ParseUint(s, 10, 16)
	q.Port = uint16(port)
	return err
}

// ParseIdentity sets the identity from a number or a reserved name.
func (q *Query) ParseIdentity(s string) error {
	for id := identity.Unknown; id <= identity.MaxReserved; id++ {
		if id.Name() == s {
			q.Identity = &id
			return nil
		}
	}
	id, err := identity.Parse(s)
	if err != nil {
		return fmt.Errorf("%w, or host, remote-node, world, unmanaged, health, unknown", err)
	}
	q.Identity = &id
	return nil
}

// ParseLabel adds a label in the form KEY=VALUE.
func (q *Query) ParseLabel(s string) error {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" {
		return fmt.Errorf("label %q: want KEY=VALUE", s)
	}
	if q.Labels == nil {
		q.Labels = map[string]string{}
	}
	q.Labels[key] = value
	return nil
}

// ParseVerdict sets the verdict.
func (q *Query) ParseVerdict(s string) error {
	if !slices.Contains(Verdicts, s) {
		return fmt.Errorf("verdict %q: want one of %s", s, strings.Join(Verdicts, ", "))
	}
	q.Verdict = s
	return nil
}
