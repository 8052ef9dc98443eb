package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
)

// Figures of the case policy.
const (
	fleetNodes = 3
	// policyWrites is how often a sample writes the policy: it makes it, changes
	// it and deletes it again.
	policyWrites = 60
	// policyRounds are as many times those of other cases: one write in a hundred
	// meets something else that the API server does, so that a sample's 99th
	// percentile is one thing or quite another. Many samples say which is usual.
	policyRounds = 3
	// policyPause is between two writes: each is to find everything idle.
	policyPause = 20 * time.Millisecond
	policyPoll  = 100 * time.Microsecond // of the kernel's tables
	policyTime  = 10 * time.Second       // most that a write may take
	// catchUp is what who stood still gets for what it missed.
	catchUp = 300 * time.Millisecond
	// probed is the policy that is written; each time it admits another of these
	// ports.
	probed    = "probed"
	firstPort = 10_000
	ports     = 30_000
)

// measurePolicy writes one policy in a cluster of many, and measures how long it
// takes until all nodes enforce it; in turns with how long it takes until a bare
// watch on all nodes has it.
func measurePolicy(ctx context.Context, o options) (rows []report.Row, err error) {
	core, err := connect()
	if err != nil {
		return nil, err
	}
	for n := range fleetNodes {
		if err := createNode(ctx, core, n); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(createSpaces(ctx, core), createPolicies(ctx, core), createIdentities(ctx, core)); err != nil {
		return nil, err
	}
	f, err := newFleet(o, fleetNodes)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	p := &policyWriter{ctx: ctx, core: core, fleet: f}
	return measure.Comparison{
		Metrics: []measure.Metric{
			{Name: "policy-p50", Unit: "ms"},
			{Name: "policy-p99", Unit: "ms", Target: report.Target{AtMost: 1.5}},
		},
		Against: "a bare watch of the policy on every node", Effort: o.effort.Times(policyRounds),
		Signet: p.side(true), Base: p.side(false),
	}.Run(o.log)
}

// probe is the policy that is written: beside that of its namespace which
// isolates the same pods, it admits another port each time.
func probe(port int32) *netv1.NetworkPolicy {
	p := somePolicy(0)
	p.Name = probed
	p.Spec.Ingress[0].Ports = []netv1.NetworkPolicyPort{portRange(port, port)}
	return p
}

// portOf is the port that a probe admits.
func portOf(p *netv1.NetworkPolicy) int32 { return p.Spec.Ingress[0].Ports[0].Port.IntVal }

// policyWriter writes the policy, again and again.
type policyWriter struct {
	ctx   context.Context //nolint:containedctx // a measure.Side takes none
	core  kubernetes.Interface
	fleet fleet
	port  int32 // of the last write
}

// side measures with agents, or with bare watches: median and 99th percentile
// of the milliseconds until the last node has a write.
func (p *policyWriter) side(agents bool) measure.Side {
	return func() (measure.Sample, error) {
		if err := p.fleet.turn(agents); err != nil {
			return measure.Sample{}, err
		}
		time.Sleep(catchUp)
		if _, err := p.cycle(agents, 2); err != nil {
			return measure.Sample{}, err
		}
		took, err := p.cycle(agents, policyWrites)
		return measure.Sample{Values: []float64{report.Median(took), report.Percentile(took, 99)}}, err
	}
}

// cycle makes the policy, changes it, and deletes it with the last of so many
// writes. It gives the milliseconds that each took.
func (p *policyWriter) cycle(agents bool, writes int) (took []float64, err error) {
	for n := range writes {
		port := int32(0)
		if n < writes-1 {
			p.port++
			port = firstPort + p.port%ports
		}
		await := p.awaitWatches
		if agents {
			if await, err = p.kernels(); err != nil {
				return nil, err
			}
		}
		began := time.Now()
		if err := p.write(n == 0, port); err != nil {
			return nil, err
		}
		last, err := await(port)
		if err != nil {
			return nil, fmt.Errorf("write %d (port %d): %w", n, port, err)
		}
		took = append(took, last.Sub(began).Seconds()*1000)
		time.Sleep(policyPause)
	}
	return took, nil
}

func (p *policyWriter) write(first bool, port int32) error {
	policies := p.core.NetworkingV1().NetworkPolicies(spaceName(0))
	var err error
	switch {
	case port == 0:
		err = policies.Delete(p.ctx, probed, metav1.DeleteOptions{})
	case first:
		_, err = policies.Create(p.ctx, probe(port), metav1.CreateOptions{})
	default:
		_, err = policies.Update(p.ctx, probe(port), metav1.UpdateOptions{})
	}
	return err
}

// awaitWatches gives when the last bare watch has seen the policy like this.
func (p *policyWriter) awaitWatches(port int32) (last time.Time, err error) {
	timeout := time.After(policyTime)
	for n, m := range p.fleet {
		for found := false; !found; {
			select {
			case s, open := <-m.seen:
				if !open {
					return last, fmt.Errorf("the watch of node %d has ended", n)
				}
				if found = s.Port == port; found && s.At.After(last) {
					last = s.At
				}
			case <-timeout:
				return last, fmt.Errorf("the watch of node %d does not see it", n)
			}
		}
	}
	return last, nil
}

// kernels notes what every node's kernel enforces, and gives a function that
// waits until it enforces something else.
func (p *policyWriter) kernels() (func(int32) (time.Time, error), error) {
	before := make([]uint64, len(p.fleet))
	for n, m := range p.fleet {
		var err error
		if before[n], err = m.enforced(); err != nil {
			return nil, err
		}
	}
	return func(int32) (time.Time, error) { return p.awaitKernels(before) }, nil
}

// awaitKernels looks at one node at a time, as looking costs processor time that
// a watch does not: when the last has changed is the same.
func (p *policyWriter) awaitKernels(before []uint64) (time.Time, error) {
	deadline := time.Now().Add(policyTime)
	for n, m := range p.fleet {
		for {
			now, err := m.enforced()
			if err != nil {
				return time.Time{}, err
			}
			if now != before[n] {
				break
			}
			if time.Now().After(deadline) {
				return time.Time{}, fmt.Errorf("node %d does not enforce it", n)
			}
			time.Sleep(policyPoll)
		}
	}
	return time.Now(), nil
}

// enforced gives the rule set by which the node's programs judge what reaches
// the policy's pods: that of the side in force, which the revision tells.
func (m *member) enforced() (uint64, error) {
	state, err := m.state.LookupBytes(uint32(0))
	if err != nil {
		return 0, err
	}
	id := identity.Number(someSet(0), 0)
	side, err := m.tables.LookupBytes([2]uint32{uint32(id), binary.NativeEndian.Uint32(state) & 1})
	if err != nil || side == nil {
		return 0, fmt.Errorf("the kernel does not know identity %s: %w", id, err)
	}
	return binary.NativeEndian.Uint64(side[8:]), nil // struct side: class, ingress
}
