package agents

import (
	"bytes"
	"context"
	"io"

	"k8s.io/client-go/kubernetes"

	"github.com/signet-cni/signet/internal/kube/trial"
)

// probeContainer is the one of a trial's pods.
const probeContainer = "probe"

// Trial makes a trial in the cluster; it does not exist before its Start.
func (c *Cluster) Trial(config trial.Config) (*trial.Trial, error) {
	client, err := kubernetes.NewForConfig(c.rest)
	if err != nil {
		return nil, explainConfig(err)
	}
	return trial.New(client, config, c.explain), nil
}

// RunIn runs a command in a trial's pod, with a standard input, and waits for
// its end.
func (c *Cluster) RunIn(ctx context.Context, namespace, pod string, command []string, stdin []byte, stdout io.Writer) error {
	return c.Run(ctx, Session{
		Namespace: namespace, Pod: pod, Container: probeContainer, Command: command, Stdin: bytes.NewReader(stdin),
	}, stdout)
}
