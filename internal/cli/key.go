package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/kube/agents"
)

// rotationPoll is how often a change of keys is looked at.
const rotationPoll = 300 * time.Millisecond

func (a *app) keyCommand() *cobra.Command {
	rotate := &cobra.Command{
		Use: "rotate", Short: "Change the WireGuard keys of nodes, one node after the other", Args: noArgs,
		Long: `Change the WireGuard keys of nodes, one node after the other.

A node first moves its traffic to its second WireGuard device, gives the first
one a new key, moves its traffic back, and gives the second one a new key too.
Nothing is lost and no connection breaks. The old key retires when every other
node has followed; one whose agent does not run is waited for, and after some
minutes the change is given up and the old key stays.

The exit code is 0 if the keys of every node asked were changed, 1 otherwise.
Interrupting the command does not stop the node that is at it.`,
		Example: `  signet key rotate                    every node
  signet key rotate --node worker-1    one node`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.rotate(cmd.Context()) },
	}
	return group("key", "keys", "Change the WireGuard keys of nodes", rotate)
}

func (a *app) rotate(ctx context.Context) error {
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	if t.local != nil {
		return explainLocal(a.rotateLocal(ctx, t.local))
	}
	for _, agent := range t.agents {
		if agent.Problem != "" {
			return fmt.Errorf("node %s: %s: no key was changed", agent.Node, agent.Problem)
		}
	}
	for _, agent := range t.agents {
		if err := rotateRemote(ctx, t.cluster, agent, a.env.Stdout); err != nil {
			return fmt.Errorf("node %s: %w", agent.Node, remoteError(err))
		}
	}
	return nil
}

func rotateRemote(ctx context.Context, cluster Cluster, agent agents.Agent, stdout io.Writer) error {
	return cluster.Exec(ctx, agent, []string{binary, "key", "rotate", "--local"}, stdout)
}

// rotateLocal begins a change of keys, or joins the one under way, and tells of
// each step until its end.
func (a *app) rotateLocal(ctx context.Context, c *api.Client) error {
	before, err := c.Encryption(ctx)
	if err != nil {
		return err
	}
	if !before.Rotation.Running {
		if err := c.Rotate(ctx); err != nil {
			return err
		}
	}
	told := ""
	for {
		now, err := c.Encryption(ctx)
		if err != nil {
			return fmt.Errorf("%w: look at \"signet encrypt status\" later", err)
		}
		r := now.Rotation
		if line := stepText(now); line != told {
			told = line
			if err := a.print(line); err != nil {
				return err
			}
		}
		switch {
		case r.Error != "":
			return errors.New(r.Error)
		case r.Overdue:
			return fmt.Errorf("the new key is in force, but the key of the second device cannot retire before %s follow: "+
				"do their agents run?", strings.Join(r.Waiting, ", "))
		case !r.Running && now.Key.PublicKey == before.Key.PublicKey && !before.Rotation.Running:
			return errors.New("the key is the old one still: the agent was restarted meanwhile; try again")
		case !r.Running:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rotationPoll):
		}
	}
}

func stepText(e api.Encryption) string {
	r := e.Rotation
	text := fmt.Sprintf("%s: key %s: %s", e.Node, api.Fingerprint(e.Key.PublicKey), r.Step)
	switch {
	case r.Running && len(r.Waiting) > 0:
		text += ", waiting for " + strings.Join(r.Waiting, ", ")
	case !r.Running && r.Error == "" && !r.Begun.IsZero():
		text += fmt.Sprintf(" in %v", r.Ended.Sub(r.Begun).Round(time.Second))
	}
	return text
}
