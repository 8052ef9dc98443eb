package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/signet-cni/signet/cni"
)

// node is the one node on which something runs.
type node struct {
	cluster  *cluster
	commands string
	dir      string
	wg       *process
	verifier *process
}

// newNode makes an underlay that ends here, a BPF file system, and directories.
func newNode(c *cluster, commands string) (*node, error) {
	dir, err := os.MkdirTemp("", "signet-scale-")
	if err != nil {
		return nil, err
	}
	n := &node{cluster: c, dir: dir}
	if n.commands, err = filepath.Abs(commands); err == nil {
		err = errors.Join(n.mounts(), underlay())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a node (in namespaces of its own?): %w", err), n.close())
	}
	return n, nil
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

func (n *node) mounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir(n.path("bpf"), 0o700), os.Mkdir(n.path("net.d"), 0o700), os.Mkdir(n.path("netns"), 0o700),
		os.MkdirAll("/var/run/wireguard", 0o700)); err != nil {
		return err
	}
	return errors.Join(
		unix.Mount("tmpfs", "/var/run/wireguard", "tmpfs", 0, "mode=0700"),
		unix.Mount("bpf", n.path("bpf"), "bpf", 0, ""))
}

// underlay is a device behind which nobody answers: the other nodes' addresses
// lie there.
func underlay() error {
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0", MTU: 1500}, PeerName: "nobody"}
	if err := netlink.LinkAdd(link); err != nil {
		return err
	}
	peer, err := netlink.LinkByName(link.PeerName)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(peer); err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(nodeAddr(0).String() + "/12")
	if err != nil {
		return err
	}
	return errors.Join(netlink.AddrAdd(link, addr), netlink.LinkSetUp(link))
}

// close ends what runs, and removes all files.
func (n *node) close() error {
	for _, p := range []*process{n.verifier, n.wg} {
		if p != nil {
			p.stop()
		}
	}
	mounts, err := filepath.Glob(n.path("netns/*"))
	for _, mount := range append(mounts, n.path("bpf")) {
		_ = unix.Unmount(mount, unix.MNT_DETACH) // not mounted, perhaps
	}
	return errors.Join(err, os.RemoveAll(n.dir))
}

// prepare starts what outlives an agent, and writes its configuration.
func (n *node) prepare(ctx context.Context) (err error) {
	if err := n.cluster.fill(ctx, size{nodes: 1}); err != nil {
		return err
	}
	if err := n.kubeconfigs(ctx); err != nil {
		return err
	}
	config := `{clusterID: "51c7e1", clusterCIDR: 10.0.0.0/8, serviceCIDR: 192.168.0.0/16, wireguardPort: 51872, logLevel: warn}`
	if err := os.WriteFile(n.path("config.yaml"), []byte(config), 0o600); err != nil {
		return err
	}
	if n.wg, err = n.start("signet-wg"); err != nil {
		return err
	}
	n.verifier, err = n.start("signet-verifier", "--kubeconfig", n.path("verifier.kubeconfig"), "--name", "scale")
	return err
}

// kubeconfigs writes those of the node's agent and of the verifier, with the
// tokens that their pods would have.
func (n *node) kubeconfigs(ctx context.Context) error {
	object, err := n.cluster.core.CoreV1().Nodes().Get(ctx, nodeName(0), metav1.GetOptions{})
	if err != nil {
		return err
	}
	ask := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{
		BoundObjectRef: &authv1.BoundObjectReference{Kind: "Node", APIVersion: "v1", Name: object.Name, UID: object.UID},
	}}
	for file, account := range map[string]string{"agent.kubeconfig": "signet", "verifier.kubeconfig": "signet-verifier"} {
		token, err := n.cluster.core.CoreV1().ServiceAccounts("kube-system").CreateToken(ctx, account, ask, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		config, err := clientcmd.LoadFromFile(os.Getenv("SIGNET_TEST_KUBECONFIG"))
		if err != nil {
			return err
		}
		for name := range config.AuthInfos {
			config.AuthInfos[name] = &clientapi.AuthInfo{Token: token.Status.Token}
		}
		if err := clientcmd.WriteToFile(*config, n.path(file)); err != nil {
			return err
		}
	}
	return nil
}

// startAgent starts the agent as on a node that has just booted, and waits
// until it takes pods.
func (n *node) startAgent(ctx context.Context) (*process, time.Duration, error) {
	for _, dir := range []string{n.path("run"), n.path("bpf/signet"), n.path("net.d")} {
		if err := os.RemoveAll(dir); err != nil {
			return nil, 0, err
		}
	}
	if err := os.Mkdir(n.path("net.d"), 0o700); err != nil {
		return nil, 0, err
	}
	began := time.Now()
	p, err := n.start("signet-agent", "--config", n.path("config.yaml"), "--kubeconfig", n.path("agent.kubeconfig"),
		"--node-name", nodeName(0), "--run-dir", n.path("run"), "--key", n.path("key"), "--bpf-dir", n.path("bpf/signet"),
		"--cni-conf-dir", n.path("net.d"))
	if err != nil {
		return nil, 0, err
	}
	for {
		_, err := os.Stat(filepath.Join(n.path("net.d"), cni.ConflistName))
		if err == nil {
			return p, time.Since(began), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil || p.ended() {
			p.stop()
			return nil, 0, errors.Join(fmt.Errorf("the agent does not become ready: %s", p.said()), err, ctx.Err())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// process is a command that runs; its output goes to a file.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

func (n *node) start(command string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(filepath.Join(n.commands, command), args...), log: n.path(command + ".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	err = errors.Join(p.cmd.Start(), log.Close())
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }() // how it ended stands in its log
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// said is the end of what the process wrote.
func (p *process) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(unix.SIGTERM) // ended already, perhaps
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}
