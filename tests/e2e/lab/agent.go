package lab

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/signet-cni/signet/internal/api"
)

// SignetNamespace is where the agents run.
const SignetNamespace = "kube-system"

// agentSelector selects the agents' pods.
const agentSelector = "app.kubernetes.io/name=signet"

// Agent gives the name of a node's agent pod.
func (c *Cluster) Agent(ctx context.Context, node int) (string, error) {
	name := c.Nodes[node].Name
	out, err := c.Run(ctx, "", "get", "pods", "-n", SignetNamespace, "-l", agentSelector,
		"--field-selector", "spec.nodeName="+name, "-o", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		return "", err
	}
	pods := strings.Fields(out)
	if len(pods) != 1 {
		return "", fmt.Errorf("node %s has %d agents", name, len(pods))
	}
	return pods[0], nil
}

// Signet runs the CLI on a node, where it asks that node's agent only.
func (c *Cluster) Signet(ctx context.Context, node int, args ...string) (string, error) {
	pod, err := c.Agent(ctx, node)
	if err != nil {
		return "", err
	}
	command := append([]string{"exec", "-n", SignetNamespace, pod, "-c", "agent", "--", "/usr/bin/signet", "--local"}, args...)
	return c.Run(ctx, "", command...)
}

// Flows gives the verdicts of a node since a time.
func (c *Cluster) Flows(ctx context.Context, node int, since time.Time) ([]api.Flow, error) {
	out, err := c.Signet(ctx, node, "flows", "-o", "json", "--since", since.UTC().Format(time.RFC3339Nano))
	if err != nil {
		return nil, err
	}
	var flows []api.Flow
	err = api.ReadRecords(strings.NewReader(out), func(r api.Record) error {
		if r.Flow != nil {
			flows = append(flows, *r.Flow)
		}
		return nil
	})
	return flows, err
}
