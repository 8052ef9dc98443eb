package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/signet-cni/signet/tests/e2e/lab"
	"github.com/signet-cni/signet/tests/e2e/wire"
)

const (
	// wireGuardPort is that of deploy/signet.yaml.
	wireGuardPort = 51872
	// messages is how many each pair of pods exchanges.
	messages = 100
	// repeats is how often the marker stands in a message.
	repeats = 32
)

// encryption captures on the link while pods on different nodes exchange a
// marker, and then while nodes do, in the clear: the capture has to find that.
func (d *demo) encryption(ctx context.Context) error {
	link, err := wire.Link(ctx)
	if err != nil {
		return err
	}
	d.out.title("What the link between the nodes carries while pods talk (all frames on " + link + ")")
	marker := "signet-demo-" + strings.ToLower(rand.Text()) // the UDP echo answers in lower case
	rules := wire.Rules{Port: wireGuardPort, Marker: []byte(marker), Inside: inside}
	said, pods, err := capture(link, rules, func() (int, error) { return d.chat(ctx, marker) })
	if err != nil {
		return err
	}
	_, nodes, err := capture(link, rules, func() (int, error) { return 0, d.shout(ctx, marker) })
	if err != nil {
		return err
	}
	d.tellPods(said, marker, pods)
	d.tellControl(nodes)
	return nil
}

// inside are the addresses of pods, of Services and of the tunnel.
var inside = []netip.Prefix{
	netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("fd00::/8"),
}

// capture watches the link while talk runs.
func capture(link string, rules wire.Rules, talk func() (int, error)) (int, wire.Counts, error) {
	c, err := wire.Start(link, rules)
	if err != nil {
		return 0, nil, err
	}
	n, err := talk()
	counts, stopped := c.Stop()
	return n, counts, errors.Join(err, stopped)
}

// chat lets the pods of every open cross-node row exchange messages over TCP
// and, where the policy does not ask for TCP, over UDP. It gives how many
// messages came back whole.
func (d *demo) chat(ctx context.Context, marker string) (int, error) {
	whole := 0
	for _, r := range d.rows {
		if !r.Open || !r.CrossNode() {
			continue
		}
		protocol := "TCP"
		if r.From.Name != "vip" && r.To.Name != "vip" && r.Port == 8080 {
			protocol = "UDP"
		}
		out, err := d.cluster.Exec(ctx, r.From.Namespace, r.From.Name, "", "bash", "-c", echo[protocol],
			r.To.Addr.String(), fmt.Sprint(r.Port), strings.Repeat(marker, repeats), fmt.Sprint(messages))
		if err != nil {
			return whole, err
		}
		n := strings.Count(out, strings.Repeat(marker, repeats))
		whole += n
		if n != messages {
			return whole, fmt.Errorf("%s got %d of %d echoes of %s:%d over %s",
				r.From.Name, n, messages, r.To.Name, r.Port, protocol)
		}
	}
	return whole, nil
}

// echo sends $2 to $0:$1, $3 times, and prints what comes back.
var echo = map[string]string{
	"TCP": `curl --silent --fail --max-time 20 --write-out '\n' "http://$0:$1/echo?msg=$2&n=[1-$3]"`,
	"UDP": `exec 3<>"/dev/udp/$0/$1"
		for ((i = 0; i < $3; i++)); do printf 'echo %s' "$2" >&3; timeout 5 dd bs=9000 count=1 <&3 2>/dev/null; echo; done`,
}

// shout sends the marker from node to node, outside of the tunnel.
func (d *demo) shout(ctx context.Context, marker string) error {
	to := d.cluster.Nodes[lab.Worker2].Addr
	_, err := d.cluster.OnNode(ctx, lab.Worker, "bash", "-c", fmt.Sprintf("printf %s >/dev/udp/%s/9", marker, to))
	return err
}

// tellPods shows the capture of the pods' messages.
func (d *demo) tellPods(said int, marker string, counts wire.Counts) {
	sent := 2 * said * repeats * len(marker) // there and back
	d.out.text(fmt.Sprintf("Pods sent each other a marker: %d messages came back, %d kB in both directions.", said, sent/1000))
	d.out.space()
	t := d.out.table("PODS TALK", "FRAMES", "kB", "WITH MARKER", "EXPECTED", "")
	for _, class := range []wire.Class{wire.WireGuard, wire.PodsClear, wire.Kubernetes, wire.Neighbours, wire.Rest} {
		n := counts[class]
		ok, expected := n.Marked == 0, "no marker"
		switch class {
		case wire.WireGuard:
			ok, expected = ok && n.Bytes >= sent, fmt.Sprintf("no marker, %d kB or more", sent/1000)
		case wire.PodsClear:
			ok, expected = ok && n.Frames == 0, "none"
		}
		t.row(d.className(class), n.Frames, n.Bytes/1000, n.Marked, expected, d.mark(ok))
	}
	t.flush()
}

func (d *demo) className(class wire.Class) string {
	if class == wire.WireGuard {
		return fmt.Sprintf("%s, UDP %d", class, wireGuardPort)
	}
	return string(class)
}

// tellControl shows that the capture finds what is there to find.
func (d *demo) tellControl(counts wire.Counts) {
	t := d.out.table("CONTROL: A NODE SENDS THE MARKER IN THE CLEAR", "FRAMES", "WITH MARKER", "EXPECTED", "")
	n := counts[wire.Rest]
	t.row("UDP 9, from node to node", n.Frames, n.Marked, "found", d.mark(n.Marked > 0))
	t.flush()
}
