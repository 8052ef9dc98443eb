package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/kube/agents"
)

const (
	// binary is this command, on the PATH of the image.
	binary = "signet"
	// sessions is how many nodes are asked at the same time.
	sessions = 16
	// answerTime bounds one node's answer that is no stream.
	answerTime = 20 * time.Second
)

// errNoAnswer says that a node takes too long.
var errNoAnswer = fmt.Errorf("no answer within %v: is the node overloaded or down?", answerTime)

// Answer is the JSON document of every command that lists something.
type Answer[T any] struct {
	Items []T `json:"items"`
	// Failed nodes are missing from Items.
	Failed []Failure `json:"failed,omitempty"`
}

// Failure is a node that gave no answer.
type Failure struct {
	Node  string `json:"node"`
	Error string `json:"error"`
}

// target is whom the command asks: one agent over its socket, or those of a
// cluster.
type target struct {
	local   *api.Client // nil: cluster
	cluster Cluster
	agents  []agents.Agent
}

// target decides whom to ask. A socket on this machine wins, unless a flag
// names a cluster or a node.
func (a *app) target(ctx context.Context) (target, error) {
	elsewhere := a.kubeconfig != "" || a.context != "" || len(a.nodes) > 0
	if a.local && elsewhere {
		return target{}, usageError{errors.New("--local excludes --kubeconfig, --context and --node")}
	}
	if a.local || !elsewhere && isSocket(a.socket) {
		return target{local: api.NewClient(a.socket)}, nil
	}
	return a.clusterTarget(ctx)
}

// clusterOnly reaches the cluster and asks nothing yet.
func (a *app) clusterOnly() (Cluster, error) {
	return a.env.Connect(agents.Config{Kubeconfig: a.kubeconfig, Context: a.context, Namespace: a.namespace})
}

// clusterTarget gives the agents of a cluster.
func (a *app) clusterTarget(ctx context.Context) (target, error) {
	cluster, err := a.clusterOnly()
	if err != nil {
		return target{}, err
	}
	found, err := cluster.Agents(ctx)
	if err != nil {
		return target{}, err
	}
	chosen, err := choose(found, a.nodes)
	return target{cluster: cluster, agents: chosen}, err
}

func isSocket(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Type() == fs.ModeSocket
}

// choose gives the agents of the nodes asked for, all if none is.
func choose(found []agents.Agent, nodes []string) ([]agents.Agent, error) {
	if len(nodes) == 0 {
		return found, nil
	}
	var chosen []agents.Agent
	for _, node := range nodes {
		at := slices.IndexFunc(found, func(a agents.Agent) bool { return a.Node == node })
		if at < 0 {
			return nil, fmt.Errorf("no node %q: the cluster has %s", node, nodeNames(found))
		}
		chosen = append(chosen, found[at])
	}
	return chosen, nil
}

func nodeNames(found []agents.Agent) string {
	const most = 10
	var names []string
	for _, agent := range found[:min(len(found), most)] {
		names = append(names, agent.Node)
	}
	if len(found) > most {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// gather asks for a list: the local agent with ask, every node of a cluster
// with the command that does the same there.
func gather[T any](ctx context.Context, t target, ask func(context.Context, *api.Client) ([]T, error), command ...string) (Answer[T], error) {
	if t.local != nil {
		items, err := ask(ctx, t.local)
		return Answer[T]{Items: items}, explainLocal(err)
	}
	answer := Answer[T]{Items: []T{}}
	var mu sync.Mutex
	t.each(ctx, sessions, func(agent agents.Agent) {
		items, err := askRemote[T](ctx, t.cluster, agent, command)
		mu.Lock()
		defer mu.Unlock()
		answer.Items = append(answer.Items, items...)
		if err != nil {
			answer.Failed = append(answer.Failed, Failure{Node: agent.Node, Error: err.Error()})
		}
	})
	slices.SortFunc(answer.Failed, func(a, b Failure) int { return cmp.Compare(a.Node, b.Node) })
	return answer, ctx.Err()
}

// explainLocal says what to do about an agent that does not answer.
func explainLocal(err error) error {
	if errors.Is(err, api.ErrAbsent) {
		return fmt.Errorf("%w: does it run on this node? only root may ask it", err)
	}
	return err
}

// each calls ask for every agent, so many at a time, and waits.
func (t target) each(ctx context.Context, atOnce int, ask func(agents.Agent)) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, agent := range t.agents {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		wait.Go(func() {
			defer func() { <-slots }()
			ask(agent)
		})
	}
	wait.Wait()
}

// askRemote runs a command on a node. A command that fails there may have
// answered all the same: "status" does, if the node is not ready.
func askRemote[T any](ctx context.Context, cluster Cluster, agent agents.Agent, command []string) ([]T, error) {
	if agent.Problem != "" {
		return nil, errors.New(agent.Problem)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var stdout bytes.Buffer
	failed := cluster.Exec(ctx, agent, remoteCommand(command), &stdout)
	if errors.Is(failed, context.DeadlineExceeded) {
		return nil, errNoAnswer
	}
	var exit *agents.ExitError
	if failed != nil && (!errors.As(failed, &exit) || stdout.Len() == 0) {
		return nil, remoteError(failed)
	}
	var answer Answer[T]
	if err := json.Unmarshal(stdout.Bytes(), &answer); err != nil {
		return nil, fmt.Errorf("cannot read the answer: %w: is the agent of another release?", err)
	}
	return answer.Items, nil
}

// remoteError takes this command's name from what it said on a node.
func remoteError(err error) error {
	var exit *agents.ExitError
	if errors.As(err, &exit) {
		return errors.New(strings.TrimPrefix(exit.Error(), complaint))
	}
	return err
}

func remoteCommand(command []string) []string {
	return slices.Concat([]string{binary}, command, []string{"--local", "-o", "json"})
}

// tellFailed tells which nodes are missing. The result is errTold if any is.
func (a *app) tellFailed(failed []Failure, of int) error {
	for _, f := range failed {
		a.tellFailure(f)
	}
	return a.tellPartial(len(failed), of)
}

func (a *app) tellFailure(f Failure) { a.complain("node " + f.Node + ": " + f.Error) }

// tellPartial tells that nodes are missing. The result is errTold if any is.
func (a *app) tellPartial(failed, of int) error {
	if failed == 0 {
		return nil
	}
	a.complain(fmt.Sprintf("partial result: %d of %s did not answer", failed, count(of, "node", "nodes")))
	return errTold
}
