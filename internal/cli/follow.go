package cli

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/kube/agents"
)

const (
	// firstRetry and lastRetry are the pauses before a node that ended its
	// stream is asked again; they double in between.
	firstRetry = time.Second
	lastRetry  = 15 * time.Second
	// steady is how long a stream has to last for its node to count as one that
	// answers.
	steady = 3 * time.Second
	// lookAround is how often new nodes are looked for.
	lookAround = 30 * time.Second
)

// followers stream from all nodes until ctx ends. A node that ends its stream,
// as an agent does that restarts, is asked again; one that joins is asked too.
// If no node has ever answered, they give up, unless they are patient: then
// they tell of every node when it answers first, too.
type followers struct {
	target  target
	flags   flowFlags
	patient bool
	records chan<- nodeRecord
	giveUp  context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	known map[string]bool
	hopes int // nodes that answer, or that have not failed yet
}

// followAll starts followers; the channel is closed when they have ended. Nodes
// that join are followed too unless only some were asked for.
func (t target) followAll(ctx context.Context, flags flowFlags, joining bool) <-chan nodeRecord {
	return t.startFollowers(ctx, &followers{flags: flags}, joining)
}

func (t target) startFollowers(ctx context.Context, f *followers, joining bool) <-chan nodeRecord {
	records := make(chan nodeRecord, 256)
	ctx, cancel := context.WithCancel(ctx)
	f.target, f.records, f.giveUp, f.known = t, records, cancel, map[string]bool{}
	go func() {
		defer close(records)
		defer cancel()
		f.start(ctx, t.agents)
		if joining {
			f.running.Go(func() { f.watch(ctx) })
		}
		f.running.Wait()
	}()
	return records
}

// start follows the nodes that are not followed yet.
func (f *followers) start(ctx context.Context, found []agents.Agent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, agent := range found {
		if f.known[agent.Node] {
			continue
		}
		f.known[agent.Node] = true
		f.hopes++
		f.running.Go(func() { f.node(ctx, agent) })
	}
}

// watch looks for nodes that have joined.
func (f *followers) watch(ctx context.Context) {
	for sleep(ctx, lookAround) {
		if found, err := f.target.cluster.Agents(ctx); err == nil {
			f.start(ctx, found)
		}
	}
}

// node follows one node.
func (f *followers) node(ctx context.Context, agent agents.Agent) {
	node := &follower{followers: f, hoped: true, flags: f.flags}
	retry := firstRetry
	for ctx.Err() == nil {
		lasted, err := node.stream(ctx, agent)
		if ctx.Err() != nil {
			return
		}
		if lasted >= steady {
			retry = firstRetry
		}
		node.failed(ctx, agent.Node, err)
		if !sleep(ctx, retry) {
			return
		}
		retry = min(2*retry, lastRetry)
		agent = f.renew(ctx, agent)
	}
}

// renew finds the pod that is a node's agent now.
func (f *followers) renew(ctx context.Context, agent agents.Agent) agents.Agent {
	if f.target.cluster == nil {
		return agent
	}
	found, err := f.target.cluster.Agents(ctx)
	if err != nil {
		return agent
	}
	at := slices.IndexFunc(found, func(a agents.Agent) bool { return a.Node == agent.Node })
	if at < 0 {
		return agents.Agent{Node: agent.Node, Problem: "the node is gone"}
	}
	return found[at]
}

// follower is what is known of one node.
type follower struct {
	*followers
	flags    flowFlags // with what was shown left out
	answered bool      // at some time
	hoped    bool      // counts among hopes
	told     string    // the failure that the user knows of; "": it answers
}

// stream passes on a node's records until it ends, and says how long that
// took. Of a node that was shown before, only what is newer is asked for.
func (n *follower) stream(ctx context.Context, agent agents.Agent) (time.Duration, error) {
	began := time.Now()
	answers := time.AfterFunc(steady, func() { n.answers(ctx, agent.Node) })
	defer answers.Stop()
	mine := make(chan nodeRecord)
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		for record := range mine {
			if record.Flow != nil {
				n.flags.shownUntil(record.Time)
				n.mu.Lock()
				n.answered = true
				n.mu.Unlock()
			}
			n.pass(ctx, record)
		}
	}()
	err := n.ask(ctx, agent, mine)
	close(mine)
	<-passed
	return time.Since(began), err
}

// ask asks the agent of a cluster's node, or this node's.
func (n *follower) ask(ctx context.Context, agent agents.Agent, mine chan<- nodeRecord) error {
	if n.target.local == nil {
		return n.target.stream(ctx, agent, remoteCommand(n.flags.command()), true, mine)
	}
	err := n.target.local.Flows(ctx, n.flags.Query, func(r api.Record) error {
		mine <- nodeRecord{node: agent.Node, Record: r}
		return nil
	})
	if err == nil {
		return errStreamEnded
	}
	return explainLocal(err)
}

func (n *follower) pass(ctx context.Context, record nodeRecord) {
	select {
	case n.records <- record:
	case <-ctx.Done():
	}
}

// answers notes that the node streams, and tells so if the user knows of a
// failure.
func (n *follower) answers(ctx context.Context, node string) {
	n.mu.Lock()
	if !n.hoped {
		n.hopes++
	}
	news := n.told != "" || n.patient
	n.answered, n.hoped, n.told = true, true, ""
	n.mu.Unlock()
	if news {
		n.pass(ctx, nodeRecord{node: node, back: true})
	}
}

// failed notes why the stream has ended and tells it, once for each reason.
func (n *follower) failed(ctx context.Context, node string, err error) {
	n.mu.Lock()
	reason := remoteError(err)
	known := n.told == reason.Error()
	n.told = reason.Error()
	if n.hoped && !n.answered {
		n.hoped, n.hopes = false, n.hopes-1
	}
	hopeless := n.hopes == 0 && !n.patient
	n.mu.Unlock()
	if !known {
		n.pass(ctx, nodeRecord{node: node, failed: reason})
	}
	if hopeless {
		n.giveUp()
	}
}

// sleep waits, and reports whether ctx still lasts.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
