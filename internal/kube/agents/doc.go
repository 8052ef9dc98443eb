// Package agents reaches the agents of a cluster from outside: with the user's
// kubeconfig it finds their pods and runs commands in them through the API
// server. It needs neither a pod network nor a port of Signet's own, and no
// more rights than to list pods and to open an exec session.
package agents

import "fmt"

// Where the manifest puts the agents.
const (
	DefaultNamespace = "kube-system"
	selector         = "app.kubernetes.io/name=signet"
	container        = "agent"
)

// Agent is a node's agent, or the lack of one.
type Agent struct {
	Node string
	Pod  string // "" if there is none
	// Image of the container.
	Image string
	// Problem says why no command can be run in it, "" if it runs.
	Problem string
}

// ExitError is the failure of a command that did run.
type ExitError struct {
	Code   int
	Stderr string // what it wrote, without the last line end
}

// Error gives what the command wrote, or else its exit code.
func (e *ExitError) Error() string {
	if e.Stderr == "" {
		return fmt.Sprintf("the command in the agent's pod exited with code %d", e.Code)
	}
	return e.Stderr
}
