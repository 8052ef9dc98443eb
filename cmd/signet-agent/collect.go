package main

import (
	"context"
	"time"

	"github.com/signet-cni/signet/internal/kube"
)

// collectInterval is how often the elected agent looks for unused identities.
const collectInterval = time.Minute

// collect takes part in the election until ctx ends, and collects while this
// node is elected.
func (a *agent) collect(ctx context.Context) {
	err := a.client.Lead(ctx, kube.CollectElection, func(ctx context.Context) {
		a.elected.Store(true)
		defer a.elected.Store(false)
		a.loops.report.Poke()
		a.collectRounds(ctx, a.watcher.NewCollector())
	})
	if err != nil {
		a.log.Error("identities that nothing uses are not collected", "error", err)
	}
}

func (a *agent) collectRounds(ctx context.Context, collector *kube.Collector) {
	ticker := time.NewTicker(collectInterval)
	defer ticker.Stop()
	for {
		gone, err := collector.Collect(ctx, a.cfg.settings.current().grace)
		if len(gone) > 0 {
			a.log.Info("identities collected", "count", len(gone), "first", gone[0].String())
		}
		if err != nil && ctx.Err() == nil {
			a.log.Warn("not everything could be collected", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
