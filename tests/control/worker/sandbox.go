package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Sandbox is a pod of the node's: its object in the API, and its network
// namespace.
type Sandbox struct {
	node *Node
	pod  *corev1.Pod
}

// NewSandbox makes the object and an empty network namespace, as scheduler and
// container runtime do before they call the plugin.
func (n *Node) NewSandbox(ctx context.Context, pod *corev1.Pod) (*Sandbox, error) {
	object, err := n.cfg.Core.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	s := &Sandbox{node: n, pod: object}
	return s, s.unshare()
}

func (s *Sandbox) netns() string { return s.node.Path("netns/" + s.pod.Name) }

// unshare makes a network namespace and keeps it by a mount.
func (s *Sandbox) unshare() error {
	if err := os.WriteFile(s.netns(), nil, 0o600); err != nil {
		return err
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this function
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), s.netns(), "", unix.MS_BIND, "")
		}
		done <- err
	}()
	return <-done
}

// Plugin is a CNI plugin and its configuration.
type Plugin struct {
	Command string // path; plugins that it calls lie beside it
	Conf    []byte // JSON
}

// Plugin is Signet's, configured to ask the node's agent.
func (n *Node) Plugin() (Plugin, error) {
	conf, err := json.Marshal(map[string]any{
		"cniVersion": "1.0.0", "name": "signet", "type": "signet", "agentSocket": n.Path("run/cni.sock"),
	})
	return Plugin{Command: filepath.Join(n.cfg.Commands, "signet-cni"), Conf: conf}, err
}

// Call runs a plugin as the container runtime does, and gives how long it took
// from before its process was started.
func (s *Sandbox) Call(ctx context.Context, plugin Plugin, command string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, plugin.Command)
	cmd.Env = []string{
		"CNI_COMMAND=" + command, "CNI_CONTAINERID=sandbox-" + s.pod.Name, "CNI_IFNAME=eth0", "CNI_NETNS=" + s.netns(),
		"CNI_PATH=" + filepath.Dir(plugin.Command), fmt.Sprintf("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_UID=%s",
			s.pod.Namespace, s.pod.Name, s.pod.UID),
	}
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(plugin.Conf), &out, &out
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s of %s: %w: %s", command, s.pod.Name, err, out.String())
	}
	return time.Since(began), nil
}
