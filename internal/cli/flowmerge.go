package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/kube/agents"
)

const (
	// firstPause is how long the first flows wait for those of nodes that take
	// longer to answer; pause is the same later. Within it flows are put in
	// order.
	firstPause = time.Second
	pause      = 250 * time.Millisecond
)

// nodeRecord is a record and the node that told it, or why that tells no more.
type nodeRecord struct {
	node string
	api.Record
	failed error
	back   bool // the node answers again
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
	if f.Follow {
		if !known {
			a.complain(fmt.Sprintf("there is no pod %q yet", f.Pod))
		}
		failed, err := a.follow(ctx, t.followAll(ctx, *f, len(a.nodes) == 0), names, view)
		if err != nil || ctx.Err() != nil {
			return err
		}
		return a.tellPartial(min(failed, len(t.agents)), len(t.agents))
	}
	shown, failed, err := a.past(t.streams(ctx, f), f.Last, names, view)
	if err != nil {
		return err
	}
	if err := a.tellFailed(failed, len(t.agents)); err != nil {
		return err
	}
	if !known && shown == 0 {
		return fmt.Errorf("no pod %q, now or in the flows of the past: \"signet endpoint list\" shows those there are", f.Pod)
	}
	return nil
}

// streams asks all nodes for flows of the past, until all have ended.
func (t target) streams(ctx context.Context, f *flowFlags) <-chan nodeRecord {
	records := make(chan nodeRecord, 256)
	command := remoteCommand(f.command())
	go func() {
		t.each(ctx, len(t.agents), func(agent agents.Agent) {
			err := t.stream(ctx, agent, command, false, records)
			if err == nil || ctx.Err() != nil {
				return
			}
			select {
			case records <- nodeRecord{node: agent.Node, failed: remoteError(err)}:
			case <-ctx.Done():
			}
		})
		close(records)
	}()
	return records
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
	switch {
	case err == nil && follow:
		return errStreamEnded
	case !follow && errors.Is(err, context.DeadlineExceeded):
		return errNoAnswer
	}
	return err
}

// past shows the last flows of all nodes together.
func (a *app) past(records <-chan nodeRecord, last int, names *podNames, view *flowView) (shown int, failed []Failure, err error) {
	var all []nodeRecord
	for record := range records {
		if record.failed != nil {
			failed = append(failed, Failure{Node: record.node, Error: record.failed.Error()})
			continue
		}
		all = append(all, record)
	}
	slices.SortFunc(failed, func(a, b Failure) int { return cmp.Compare(a.Node, b.Node) })
	sortRecords(all)
	if last >= 0 && len(all) > last {
		all = all[len(all)-last:]
	}
	return len(all), failed, showAll(all, names, view)
}

// follow shows flows as they come, those that come within a pause in order,
// and tells at once which nodes fail. It gives their number.
func (a *app) follow(ctx context.Context, records <-chan nodeRecord, names *podNames, view *flowView) (failed int, err error) {
	var waiting []nodeRecord
	due := time.NewTimer(firstPause)
	defer due.Stop()
	for {
		select {
		case record, more := <-records:
			switch {
			case !more:
				sortRecords(waiting)
				return failed, showAll(waiting, names, view)
			case record.failed != nil:
				failed++
				a.tellFailure(Failure{Node: record.node, Error: record.failed.Error()})
			case record.back:
				a.complain("node " + record.node + ": answers again")
			default:
				waiting = append(waiting, record)
			}
		case <-due.C:
			names.refresh(ctx, waiting)
			sortRecords(waiting)
			if err := showAll(waiting, names, view); err != nil {
				return failed, err
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
