// Package story has the examples that people learn NetworkPolicy from, as
// pods, policies and the full table of what may talk to what.
package story

import (
	"context"
	"fmt"
	"slices"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// Story is pods, and what policies make of them, step by step.
type Story struct {
	Name       string
	Namespaces []lab.Namespace // of the pods; the first one is that of short names
	Pods       []*lab.Pod
	Steps      []Step
}

// Step is a change of the policies of the first namespace, and the table from
// then on.
type Step struct {
	Title string
	Apply string // manifest
	Table string // see parseTable
	// NoDNS are pods that the policies keep from the DNS server, so that they
	// resolve no name.
	NoDNS []string
}

// Row is one decision of the table and the ways in which it is tried.
type Row struct {
	From, To *lab.Pod
	Port     int
	Protocol string
	Open     bool
	// ByAddr, ByService and ByName are probes of the pod's address, of its
	// Service's address and of its Service's name.
	ByAddr, ByService, ByName lab.Result
}

// OK reports whether the decision was seen in every way.
func (r Row) OK() bool { return r.ByAddr.OK() && r.ByService.OK() && r.ByName.OK() }

// CrossNode reports whether the pods are on different nodes.
func (r Row) CrossNode() bool { return r.From.Node != r.To.Node }

// Pod finds a pod by its key, or by its name in the first namespace.
func (s *Story) Pod(name string) *lab.Pod {
	want := key(name, s.Namespaces[0].Name)
	at := slices.IndexFunc(s.Pods, func(p *lab.Pod) bool { return p.Key() == want })
	if at < 0 {
		return nil
	}
	return s.Pods[at]
}

// Rows gives the table of a step, not tried yet.
func (s *Story) Rows(step Step) ([]Row, error) {
	cells, err := parseTable(step.Table, s.Namespaces[0].Name)
	if err != nil {
		return nil, fmt.Errorf("story %s, step %s: %w", s.Name, step.Title, err)
	}
	var rows []Row
	for _, c := range cells {
		from, to := s.Pod(c.from), s.Pod(c.to.pod)
		if from == nil || to == nil {
			return nil, fmt.Errorf("story %s, step %s: no pod %s or %s", s.Name, step.Title, c.from, c.to.pod)
		}
		row := Row{From: from, To: to, Port: c.to.port, Protocol: c.to.protocol, Open: c.open}
		row.ask(slices.Contains(step.NoDNS, from.Name))
		rows = append(rows, row)
	}
	return rows, nil
}

// ask sets the probes of a row.
func (r *Row) ask(noDNS bool) {
	probe := lab.Probe{
		From: r.From, Protocol: r.Protocol, Port: r.Port, Want: lab.Silence,
		Server: r.To.Name, Client: r.From.Addr,
	}
	if r.Open {
		probe.Want = lab.Answer
	}
	r.ByAddr.Probe, r.ByService.Probe, r.ByName.Probe = probe, probe, probe
	r.ByAddr.Host = r.To.Addr.String()
	r.ByService.Host = r.To.Service.String()
	r.ByName.Host = r.To.NameFor(r.From)
	switch {
	case noDNS && r.Protocol == lab.TCP:
		r.ByName.Want = lab.NoName
	case noDNS: // probes over UDP do not know why
		r.ByName.Want = lab.Silence
	}
}

// Do makes the change of a step.
func (s *Story) Do(ctx context.Context, cluster *lab.Cluster, step Step) error {
	if step.Apply == "" {
		return nil
	}
	return cluster.Apply(ctx, step.Apply, "-n", s.Namespaces[0].Name)
}

// server is a pod that is labelled with its role.
func server(namespace, name string, node int, ports ...int) *lab.Pod {
	return &lab.Pod{
		Namespace: namespace, Name: name, Node: node, Labels: map[string]string{"role": name}, Ports: ports,
	}
}

// Try makes all probes of the rows.
func Try(ctx context.Context, cluster *lab.Cluster, rows []Row) {
	var probes []lab.Probe
	for _, r := range rows {
		probes = append(probes, r.ByAddr.Probe, r.ByService.Probe, r.ByName.Probe)
	}
	results := cluster.Try(ctx, probes)
	for i := range rows {
		rows[i].ByAddr, rows[i].ByService, rows[i].ByName = results[3*i], results[3*i+1], results[3*i+2]
	}
}
