package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// sandbox is a local pod: its object in the API, and its network namespace.
type sandbox struct {
	node       *node
	name, uid  string
	space      string
	identifier string // of the container
}

// newSandbox makes the object and an empty network namespace, as scheduler and
// container runtime do before they call the plugin.
func newSandbox(ctx context.Context, n *node, name string, labels map[string]string) (*sandbox, error) {
	pod := makePod(name, 0, nodeName(0), labels)
	object, err := n.cluster.core.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	s := &sandbox{node: n, name: name, uid: string(object.UID), space: pod.Namespace, identifier: "sandbox-" + name}
	return s, s.unshare()
}

func (s *sandbox) netns() string { return s.node.path("netns/" + s.name) }

// unshare makes a network namespace and keeps it by a mount.
func (s *sandbox) unshare() error {
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

// call runs the plugin as the container runtime does, and gives how long it
// took from before its process was started.
func (s *sandbox) call(ctx context.Context, command string) (time.Duration, error) {
	conf, err := json.Marshal(map[string]any{
		"cniVersion": "1.0.0", "name": "signet", "type": "signet", "agentSocket": s.node.path("run/cni.sock"),
	})
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, s.node.commands+"/signet-cni")
	cmd.Env = []string{
		"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + s.identifier, "CNI_IFNAME=eth0", "CNI_NETNS=" + s.netns(),
		"CNI_PATH=/opt/cni/bin", fmt.Sprintf("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_UID=%s",
			s.space, s.name, s.uid),
	}
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(conf), &out, &out
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s of %s: %w: %s", command, s.name, err, out.String())
	}
	return time.Since(began), nil
}
