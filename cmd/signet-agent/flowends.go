package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/internal/api"
)

// endsInterval is how often the flow table is searched for flows that have
// ended.
const endsInterval = 10 * time.Second

// flowTable is how full the flow table was when it was last searched.
type flowTable struct {
	entries atomic.Int64
	limit   atomic.Int64
}

// collect tells of flows that have ended, and removes them, until ctx ends.
func (r *flowReader) collect(ctx context.Context) {
	collector := r.agent.datapath.FlowCollector()
	table := &r.agent.status.flowTable
	table.limit.Store(int64(collector.Limit()))
	ticker := time.NewTicker(endsInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		ended, left, err := collector.Collect()
		if err != nil {
			r.agent.log.Warn("flows that have ended are not told", "error", err)
			continue
		}
		table.entries.Store(int64(left))
		for _, f := range ended {
			r.agent.status.flows.Append(r.lookup().Enrich(endEvent(f)))
		}
	}
}

func endEvent(f datapath.Flow) api.Event {
	return api.Event{
		Time: f.Seen, Verdict: api.Over, Revision: f.Revision, Protocol: f.Protocol,
		Src: f.Src, Dst: f.Dst, Service: f.Service, SrcIdentity: f.SrcIdentity, DstIdentity: f.DstIdentity,
		Ended: &api.Ended{
			Opened: f.Opened,
			Sent:   api.Carried{Packets: f.Sent.Packets, Bytes: f.Sent.Bytes}, Answered: api.Carried{Packets: f.Answered.Packets, Bytes: f.Answered.Bytes},
		},
	}
}
