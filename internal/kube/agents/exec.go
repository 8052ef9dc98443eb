package agents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
)

// maxStderr is how much of a command's errors is kept, in bytes.
const maxStderr = 4 << 10

// Session is a command in a container of a pod.
type Session struct {
	Namespace, Pod, Container string
	Command                   []string
	Stdin                     io.Reader
}

// Exec runs a command in an agent's container and waits for its end, or for
// ctx's. Its standard input stays open until then and is empty. What it writes
// goes to stdout as it comes; its errors come back in an ExitError.
func (c *Cluster) Exec(ctx context.Context, agent Agent, command []string, stdout io.Writer) error {
	input, release := io.Pipe()
	defer func() { _ = release.Close() }() // cannot fail
	return c.RunAt(ctx, agent, command, input, stdout)
}

// RunAt is Exec with a standard input.
func (c *Cluster) RunAt(ctx context.Context, agent Agent, command []string, stdin io.Reader, stdout io.Writer) error {
	return c.Run(ctx, Session{
		Namespace: c.namespace, Pod: agent.Pod, Container: container, Command: command, Stdin: stdin,
	}, stdout)
}

// Run is Exec in any container.
func (c *Cluster) Run(ctx context.Context, s Session, stdout io.Writer) error {
	session, err := c.session(s)
	if err != nil {
		return err
	}
	stderr := &head{limit: maxStderr}
	err = session.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: s.Stdin, Stdout: stdout, Stderr: stderr})
	var exit utilexec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return &ExitError{Code: exit.ExitStatus(), Stderr: strings.TrimSpace(stderr.String())}
	default:
		return c.explain(err, "run a command in pod "+s.Namespace+"/"+s.Pod)
	}
}

// session prepares a command over a WebSocket, or over SPDY where the API
// server or a proxy before it is too old for that.
func (c *Cluster) session(s Session) (remotecommand.Executor, error) {
	url := c.core.RESTClient().Post().Resource("pods").Namespace(s.Namespace).Name(s.Pod).
		SubResource("exec").VersionedParams(&corev1.PodExecOptions{
		Container: s.Container, Command: s.Command, Stdin: true, Stdout: true, Stderr: true,
	}, scheme.ParameterCodec).URL()
	spdy, err := remotecommand.NewSPDYExecutor(c.rest, "POST", url)
	if err != nil {
		return nil, fmt.Errorf("open a session with the agent: %w", err)
	}
	websocket, err := remotecommand.NewWebSocketExecutor(c.rest, "GET", url.String())
	if err != nil {
		return nil, fmt.Errorf("open a session with the agent: %w", err)
	}
	return remotecommand.NewFallbackExecutor(websocket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

// head keeps the beginning of what is written to it.
type head struct {
	limit int
	mu    sync.Mutex
	text  strings.Builder
}

// Write never fails, so that the session goes on.
func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text.Write(p[:min(len(p), h.limit-h.text.Len())])
	return len(p), nil
}

// String gives what was kept.
func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}
