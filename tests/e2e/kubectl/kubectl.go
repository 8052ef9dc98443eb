// Package kubectl talks to a cluster the way its users do: through kubectl.
package kubectl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Client runs kubectl against one cluster.
type Client struct {
	Context string // of the kubeconfig
}

// Run gives what kubectl writes to its standard output. An error carries what
// it writes to standard error; the output is given even then.
func (c Client) Run(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := c.Command(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", shorten(args), err, strings.TrimSpace(errors.String()))
	}
	return out.String(), nil
}

// Command prepares a run of kubectl. It ends a second after ctx at the latest.
func (c Client) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "kubectl", append([]string{"--context", c.Context}, args...)...)
	cmd.WaitDelay = time.Second
	return cmd
}

// Apply creates or changes the objects of a manifest. Flags follow the command.
func (c Client) Apply(ctx context.Context, manifest string, flags ...string) error {
	_, err := c.Run(ctx, manifest, append([]string{"apply", "-f", "-"}, flags...)...)
	return err
}

// Get reads objects into v, whose JSON fields are those of the API.
func (c Client) Get(ctx context.Context, v any, args ...string) error {
	out, err := c.Run(ctx, "", append(append([]string{"get"}, args...), "-o", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		return fmt.Errorf("kubectl get %s: %w", shorten(args), err)
	}
	return nil
}

// Exec runs a command in the first container of a pod.
func (c Client) Exec(ctx context.Context, namespace, pod, stdin string, command ...string) (string, error) {
	args := append([]string{"exec", "-i", "-n", namespace, pod, "--"}, command...)
	return c.Run(ctx, stdin, args...)
}

// shorten makes arguments fit for an error message.
func shorten(args []string) string {
	const most = 120
	line := strings.Join(strings.Fields(strings.Join(args, " ")), " ")
	if len(line) > most {
		return line[:most] + "…"
	}
	return line
}
