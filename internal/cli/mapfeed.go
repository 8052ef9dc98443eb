package cli

import (
	"context"
	"sync"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/flowmap"
	"github.com/signet-cni/signet/internal/kube/agents"
)

const (
	// mapLast is how many flows of the past each node is asked for.
	mapLast = 500
	// thisNode stands for the node whose agent is asked over its socket.
	thisNode = "this node"
)

// mapFeed fills a flow map from the streams of all nodes.
type mapFeed struct {
	app    *app
	target target
	flows  *flowmap.Map
	stock  *stock
}

func newMapFeed(a *app, t target, flows *flowmap.Map) *mapFeed {
	if t.local != nil {
		t.agents = []agents.Agent{{Node: thisNode}}
	}
	for _, agent := range t.agents {
		flows.SetNode(agent.Node, flowmap.Connecting, "")
	}
	f := &mapFeed{app: a, target: t, flows: flows}
	f.stock = newStock(f)
	return f
}

// run goes on until ctx ends.
func (f *mapFeed) run(ctx context.Context) {
	flags := flowFlags{Query: api.Query{Follow: true, Last: mapLast}}
	joining := f.target.local == nil && len(f.app.nodes) == 0
	records := f.target.startFollowers(ctx, &followers{flags: flags, patient: true}, joining)
	f.stock.take(ctx) // the first flows wait for their names
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() { f.stock.keep(ctx) })
	f.merge(records)
}

// merge puts flows in order, within a pause, and into the map, until there are
// no more. Those with an end that nobody knows wait for the next inventory.
func (f *mapFeed) merge(records <-chan nodeRecord) {
	var waiting []nodeRecord
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case record, more := <-records:
			if !more {
				return
			}
			if record.Flow != nil {
				waiting = append(waiting, record)
				continue
			}
			f.note(record)
		case <-ticker.C:
			sortRecords(waiting)
			waiting = f.stock.settle(waiting, f.flows.Add)
		}
	}
}

// note takes in what is no flow.
func (f *mapFeed) note(r nodeRecord) {
	switch {
	case r.failed != nil:
		f.flows.SetNode(r.node, flowmap.Failed, r.failed.Error())
	case r.back:
		f.flows.SetNode(r.node, flowmap.Live, "")
	default:
		f.flows.AddLost(r.node, flowmap.Lost{TooFast: r.Lost, RingFull: r.RingFull, Suppressed: r.Suppressed})
	}
}
