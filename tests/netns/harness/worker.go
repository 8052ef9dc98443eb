package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/signet-cni/signet/cni"
	"github.com/signet-cni/signet/internal/api"
)

// Worker is a machine on which Signet's own commands run: signet-agent, which
// asks an API server, and signet-wg.
type Worker struct {
	Name    string
	Addr    netip.Addr // on the underlay
	PodCIDR netip.Prefix

	machine  *Node // of which only the machine is there
	commands string
	plugin   *cniSide
}

// WorkerRun is what a worker's agent is told.
type WorkerRun struct{ Settings, Kubeconfig string } // contents of the files

// Router is an address that every machine reaches, of the namespace that the
// test itself is in.
var Router = gateways[0]

// AddWorker boots a machine; the commands lie in a directory.
func (c *Cluster) AddWorker(commands string) *Worker {
	c.t.Helper()
	m := c.boot(c.podRange(len(c.machines) + 1))
	w := &Worker{Name: m.name, Addr: m.own[0], PodCIDR: m.PodCIDR, machine: m, commands: commands}
	w.plugin = &cniSide{node: m, socket: w.path("run", "cni.sock")}
	return w
}

func (w *Worker) path(parts ...string) string {
	return filepath.Join(append([]string{w.machine.dir}, parts...)...)
}

// Run starts signet-wg and the agent, which end with the test.
func (w *Worker) Run(run WorkerRun) error {
	err := errors.Join(
		os.WriteFile(w.path("config.yaml"), []byte(run.Settings), 0o600),
		os.WriteFile(w.path("kubeconfig"), []byte(run.Kubeconfig), 0o600),
		os.Mkdir(w.path("net.d"), 0o700))
	if err != nil {
		return err
	}
	return errors.Join(w.start("signet-wg"),
		w.start("signet-agent", "--config", w.path("config.yaml"), "--kubeconfig", w.path("kubeconfig"),
			"--node-name", w.Name, "--run-dir", w.path("run"), "--key", w.path("key"), "--bpf-dir", w.machine.pinPath(),
			"--cni-conf-dir", w.path("net.d")))
}

// start starts a command, whose output goes to a file.
func (w *Worker) start(command string, args ...string) error {
	log, err := os.Create(w.path(command + ".log"))
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(w.commands, command), args...)
	cmd.Stdout, cmd.Stderr = log, log
	err = errors.Join(w.machine.onHolder(cmd.Start), log.Close())
	if err != nil {
		return fmt.Errorf("start %s of %s: %w", command, w.Name, err)
	}
	w.machine.t.Cleanup(func() { stop(cmd) })
	return nil
}

// AwaitPods waits until the agent takes pods.
func (w *Worker) AwaitPods(limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		_, err := os.Stat(w.path("net.d", cni.ConflistName))
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s takes no pods after %s: %s", w.Name, limit, w.Said())
		}
	}
}

// Said is the end of the agent's log.
func (w *Worker) Said() string {
	text, err := os.ReadFile(w.path("signet-agent.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// Agent asks the worker's agent.
func (w *Worker) Agent() *api.Client {
	return api.NewClient(w.path("run", filepath.Base(api.SocketPath)))
}

// AddPod attaches a pod of which the object exists: CNI ADD.
func (w *Worker) AddPod(namespace, name, uid string) (*Pod, error) {
	w.machine.t.Helper()
	p := &Pod{Name: name, Node: w.machine, Labels: Labels{Namespace: namespace}, key: uid}
	p.Namespace = newNamespace(w.machine.t, name)
	addrs, err := w.plugin.attach(p)
	if err != nil {
		return nil, fmt.Errorf("pod %s of %s: %w", name, w.Name, err)
	}
	p.Addr = addrs[0]
	return p, nil
}

// Away cuts the worker off from all others and from Router; back ends that.
func (w *Worker) Away() (back func()) { return w.machine.Away() }
