package cni_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/containernetworking/plugins/pkg/testutils"
	"github.com/vishvananda/netlink"
)

// pod is a container sandbox and how the runtime calls the plugin for it.
type pod struct {
	agent   *agent
	netns   ns.NetNS
	id      string
	args    string
	version string
	extra   map[string]any // further fields of the network configuration
	env     []string       // overrides the environment
	gone    bool
}

func newPod(t *testing.T, a *agent, name string) *pod {
	t.Helper()
	netns, err := testutils.NewNS()
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{
		agent: a, netns: netns, id: "c-" + name, version: "1.1.0",
		args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=concert;K8S_POD_NAME=" + name +
			";K8S_POD_INFRA_CONTAINER_ID=c-" + name + ";K8S_POD_UID=0f0f",
	}
	t.Cleanup(func() { p.destroy(t) })
	return p
}

// destroy removes the sandbox, as a node's crash or a hasty runtime would.
func (p *pod) destroy(t *testing.T) {
	t.Helper()
	if p.gone {
		return
	}
	p.gone = true
	if err := errors.Join(p.netns.Close(), testutils.UnmountNS(p.netns)); err != nil {
		t.Error(err)
	}
}

// outcome is what the runtime sees of one call.
type outcome struct {
	code   int
	stdout string
	stderr string
}

func (p *pod) conf(prev string) string {
	conf := map[string]any{"cniVersion": p.version, "name": "signet", "type": "signet", "agentSocket": p.agent.socket()}
	if prev != "" {
		conf["prevResult"] = json.RawMessage(prev)
	}
	maps.Copy(conf, p.extra)
	data, err := json.Marshal(conf)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// command prepares a call of the plugin.
func (p *pod) command(command, conf string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append([]string{
		asPlugin + "=1", "CNI_COMMAND=" + command, "CNI_CONTAINERID=" + p.id, "CNI_NETNS=" + p.netns.Path(), "CNI_IFNAME=eth0",
		"CNI_ARGS=" + p.args, "CNI_PATH=/opt/cni/bin",
	}, p.env...)
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(conf), stdout, stderr
	return cmd, stdout, stderr
}

// call runs the plugin with a configuration.
func (p *pod) call(command, conf string) outcome {
	cmd, stdout, stderr := p.command(command, conf)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return outcome{code: -1, stderr: err.Error()}
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (p *pod) do(command string) outcome { return p.call(command, p.conf("")) }

// add expects ADD to succeed.
func (p *pod) add(t *testing.T) (*current.Result, string) {
	t.Helper()
	got := p.do("ADD")
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("ADD: %+v", got)
	}
	var result current.Result
	if err := json.Unmarshal([]byte(got.stdout), &result); err != nil {
		t.Fatalf("ADD printed %q: %v", got.stdout, err)
	}
	return &result, got.stdout
}

// wantOK expects a command without a result to succeed in silence.
func (o outcome) wantOK(t *testing.T) {
	t.Helper()
	if o != (outcome{}) {
		t.Errorf("got %+v, want silent success", o)
	}
}

// wantError expects a CNI error on stdout that contains all of words.
func (o outcome) wantError(t *testing.T, code uint, words ...string) {
	t.Helper()
	var e types.Error
	if o.code != 1 || json.Unmarshal([]byte(o.stdout), &e) != nil {
		t.Fatalf("got %+v, want a CNI error", o)
	}
	if e.Code != code {
		t.Errorf("code %d, want %d (%s)", e.Code, code, e.Error())
	}
	for _, w := range words {
		if !strings.Contains(e.Error(), w) {
			t.Errorf("error %q does not mention %q", e.Error(), w)
		}
	}
}

// inside runs f in the pod's namespace.
func (p *pod) inside(t *testing.T, f func() error) {
	t.Helper()
	if err := p.netns.Do(func(ns.NetNS) error { return f() }); err != nil {
		t.Error(err)
	}
}

// links returns the names of the interfaces in the pod.
func (p *pod) links(t *testing.T) (names []string) {
	t.Helper()
	p.inside(t, func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			names = append(names, l.Attrs().Name)
		}
		return err
	})
	return names
}

// podToHost says whether a datagram of the pod reaches the node.
func (p *pod) podToHost() error { return p.podTo(nodeAddr) }

// podTo says whether a datagram of the pod reaches an address of the node.
func (p *pod) podTo(node netip.Addr) error {
	host, err := net.ListenUDP("udp", &net.UDPAddr{IP: node.AsSlice()})
	if err != nil {
		return err
	}
	defer func() { _ = host.Close() }()
	return knock(host, func() error {
		return p.netns.Do(func(ns.NetNS) error { return send(host.LocalAddr()) })
	})
}

// hostToPod says whether a datagram of the node reaches the pod.
func (p *pod) hostToPod(addr netip.Addr) error {
	var conn *net.UDPConn
	err := p.netns.Do(func(ns.NetNS) (err error) {
		conn, err = net.ListenUDP("udp", &net.UDPAddr{IP: addr.AsSlice()})
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	port := conn.LocalAddr().(*net.UDPAddr).Port
	return knock(conn, func() error { return send(&net.UDPAddr{IP: addr.AsSlice(), Port: port}) })
}

// knock sends until something arrives: the kernel drops what is sent before it
// has noticed that a new interface has a carrier.
func knock(conn *net.UDPConn, send func() error) (err error) {
	for range 3 {
		if err = errors.Join(send(), receive(conn)); err == nil {
			return nil
		}
	}
	return err
}

func send(to net.Addr) error {
	conn, err := net.DialUDP("udp", nil, to.(*net.UDPAddr))
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte("knock"))
	return errors.Join(err, conn.Close())
}

func receive(conn *net.UDPConn) error {
	if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		return err
	}
	if _, _, err := conn.ReadFromUDP(make([]byte, 16)); err != nil {
		return fmt.Errorf("nothing arrived: %w", err)
	}
	return nil
}
