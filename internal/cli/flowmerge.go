package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/kube/agents"
)

const (
	// firstPause is how long the flows of the first node wait for those of
	// the others; pause is the same later. Within it flows are put in order.
	firstPause = time.Second
	pause      = 250 * time.Millisecond
)

// nodeRecord is a record and the node that told it.
type nodeRecord struct {
	node string
	api.Record
}

// clusterFlows merges the flows of all nodes. It knows the pods of all of them
// too, and fills in those that a node could not name.
func (a *app) clusterFlows(ctx context.Context, t target, f *flowFlags, view *flowView) error {
	names := &podNames{target: t, now: a.env.Now}
	if err := names.fetch(ctx); err != nil {
		return err
	}
	known := f.Pod == ""
	if !known {
		f.PodAddrs = names.addresses(f.Pod)
		known = len(f.PodAddrs) > 0
	}
	records, failures := t.streams(ctx, f)
	var shown int
	var err error
	if f.Follow {
		if !known {
			a.complain(fmt.Sprintf("there is no pod %s yet", f.Pod))
		}
		err = a.follow(ctx, records, names, view)
	} else {
		shown, err = a.past(records, f.Last, names, view)
	}
	if err != nil {
		return err
	}
	if err := a.tellFailed(<-failures, len(t.agents)); err != nil {
		return err
	}
	if !known && shown == 0 && !f.Follow {
		return fmt.Errorf("no pod %q, now or in the flows of the past: \"signet endpoint list\" shows those there are", f.Pod)
	}
	return nil
}

// streams asks all nodes. Records ends when all have; then failures tells which
// of them ended in error.
func (t target) streams(ctx context.Context, f *flowFlags) (<-chan nodeRecord, <-chan []Failure) {
	records, failures := make(chan nodeRecord, 256), make(chan []Failure, 1)
	command := remoteCommand(f.command())
	go func() {
		var mu sync.Mutex
		var failed []Failure
		t.each(ctx, len(t.agents), func(agent agents.Agent) {
			err := t.stream(ctx, agent, command, f.Follow, records)
			if err != nil && ctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, Failure{Node: agent.Node, Error: err.Error()})
			}
		})
		slices.SortFunc(failed, func(a, b Failure) int { return cmp.Compare(a.Node, b.Node) })
		failures <- failed
		close(records)
	}()
	return records, failures
}

// stream passes on one node's records until it ends.
func (t target) stream(ctx context.Context, agent agents.Agent, command []string, follow bool, records chan<- nodeRecord) error {
	if agent.Problem != "" {
		return errors.New(agent.Problem)
	}
	if !follow {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTime)
		defer cancel()
	}
	r, w := io.Pipe()
	defer func() { _ = r.Close() }() // cannot fail
	go func() { _ = w.CloseWithError(t.cluster.Exec(ctx, agent, command, w)) }()
	err := api.ReadRecords(r, func(record api.Record) error {
		select {
		case records <- nodeRecord{node: agent.Node, Record: record}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err == nil && follow {
		return errStreamEnded
	}
	return err
}

// past shows the last flows of all nodes together.
func (a *app) past(records <-chan nodeRecord, last int, names *podNames, view *flowView) (int, error) {
	var all []nodeRecord
	for record := range records {
		all = append(all, record)
	}
	sortRecords(all)
	if last >= 0 && len(all) > last {
		all = all[len(all)-last:]
	}
	return len(all), showAll(all, names, view)
}

// follow shows flows as they come, those that come within a pause in order.
func (a *app) follow(ctx context.Context, records <-chan nodeRecord, names *podNames, view *flowView) error {
	var waiting []nodeRecord
	due := time.NewTimer(firstPause)
	defer due.Stop()
	for {
		select {
		case record, more := <-records:
			if !more {
				sortRecords(waiting)
				return showAll(waiting, names, view)
			}
			waiting = append(waiting, record)
		case <-due.C:
			names.refresh(ctx, waiting)
			sortRecords(waiting)
			if err := showAll(waiting, names, view); err != nil {
				return err
			}
			waiting = waiting[:0]
			due.Reset(pause)
		}
	}
}

func showAll(records []nodeRecord, names *podNames, view *flowView) error {
	for _, record := range records {
		if record.Flow != nil {
			names.complete(record.Flow)
		}
		if err := view.show(record.node, record.Record); err != nil {
			return err
		}
	}
	return nil
}

// sortRecords puts flows in the order of time; a note of losses comes first.
func sortRecords(records []nodeRecord) {
	at := func(r nodeRecord) time.Time {
		if r.Flow == nil {
			return time.Time{}
		}
		return r.Time
	}
	slices.SortStableFunc(records, func(a, b nodeRecord) int { return at(a).Compare(at(b)) })
}
