package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli/table"
)

// showNodes shows a line a node, and then every problem.
func (a *app) showNodes(answer Answer[api.Status]) error {
	t := table.New("NODE", "READY", "SUBSYSTEMS", "TUNNEL", "PEERS", "PODS", "POLICIES", "AUDIT", "IDENTITIES", "DROPPED", "VERSION")
	ready := 0
	for _, s := range answer.Items {
		if s.Ready {
			ready++
		}
		t.Add(s.Node, readyCell(s.Ready), subsystemsCell(s), s.Device.Kind, len(s.Device.Peers), s.Endpoints,
			s.Policy.Policies, auditCell(s.Audit), s.Policy.Identities, dropped(s), s.Version)
	}
	for _, f := range answer.Failed {
		t.Add(f.Node, table.Cell{Text: "unknown", Colour: table.Red}, "", "", "", "", "", "", "", "", "")
	}
	if err := t.Write(a.env.Stdout, a.env.Colour); err != nil {
		return err
	}
	var text strings.Builder
	for _, s := range answer.Items {
		for _, p := range troubles(s) {
			fmt.Fprintf(&text, "\n%s: %s", table.Paint(s.Node, problemColour(s.Ready), a.env.Colour), table.Clean(p.text))
			if p.advice != "" {
				fmt.Fprintf(&text, "\n  what to do: %s", table.Clean(p.advice))
			}
		}
	}
	for _, note := range notes(answer.Items) {
		text.WriteString("\n" + table.Clean(note))
	}
	if text.Len() > 0 {
		text.WriteByte('\n')
	}
	return a.print(fmt.Sprintf("%s\n%d of %s ready", text.String(), ready,
		count(len(answer.Items)+len(answer.Failed), "node", "nodes")))
}

func readyCell(ready bool) table.Cell {
	if ready {
		return table.Cell{Text: "yes", Colour: table.Green}
	}
	return table.Cell{Text: "NO", Colour: table.Red}
}

func problemColour(ready bool) table.Colour {
	if ready {
		return table.Yellow
	}
	return table.Red
}

// dropped gives the packets dropped for any reason.
func dropped(s api.Status) (packets uint64) {
	for _, drop := range s.Drops {
		packets += drop.Packets
	}
	return packets
}

// showNode shows everything about one node.
func (a *app) showNode(s api.Status) error {
	facts := &table.Table{}
	facts.Add("Node:", s.Node)
	facts.Add("Ready:", readyCell(s.Ready))
	for _, p := range troubles(s) {
		facts.Add("Problem:", table.Cell{Text: p.text, Colour: problemColour(s.Ready)})
		if p.advice != "" {
			facts.Add("What to do:", p.advice)
		}
	}
	facts.Add("Subsystems:", subsystemText(s.Subsystems))
	facts.Add("Version:", fmt.Sprintf("%s on Linux %s", cmp.Or(s.Version, "unknown"), cmp.Or(s.Kernel, "unknown")))
	facts.Add("Tunnel:", tunnelText(s.Device))
	facts.Add("Policy:", fmt.Sprintf("revision %d: %s, %s, %s with %s", s.Policy.Revision,
		count(s.Policy.Policies, "policy", "policies"), count(s.Policy.Identities, "identity", "identities"),
		count(s.Policy.RuleSets, "rule set", "rule sets"), count(s.Policy.Rows, "row", "rows")))
	facts.Add("Audit mode:", auditCell(s.Audit))
	facts.Add("Pods:", s.Endpoints)
	facts.Add("Watches:", watchText(s.Watches))
	facts.Add("Dropped:", fmt.Sprintf("%d packets; flow events not told: %d over the rate limit, %d lost",
		dropped(s), s.EventLoss.Suppressed, s.EventLoss.Lost))
	if err := facts.Write(a.env.Stdout, a.env.Colour); err != nil {
		return err
	}
	for _, part := range []struct {
		title string
		rows  *table.Table
	}{{"Peers:", a.peerTable(s.Device.Peers)}, {"Drops since the node started:", dropTable(s.Drops)}, {"Kernel tables:", mapTable(s.Maps)}} {
		if part.rows.Len() == 0 {
			continue
		}
		part.rows.Indent = "  "
		if err := a.print("\n" + part.title); err != nil {
			return err
		}
		if err := part.rows.Write(a.env.Stdout, a.env.Colour); err != nil {
			return err
		}
	}
	return nil
}

func tunnelText(d api.Device) string {
	if d.Kind == "" {
		return "none"
	}
	return fmt.Sprintf("%s, %s WireGuard, UDP port %d, MTU %d (pods %d), key %s",
		d.Name, d.Kind, d.ListenPort, d.MTU, d.PodMTU, d.PublicKey)
}

func watchText(watches []api.Watch) string {
	parts := make([]string, 0, len(watches))
	for _, w := range watches {
		text := fmt.Sprintf("%d %s", w.Objects, w.Kind)
		switch {
		case w.Error != "":
			text += " (failing: " + w.Error + ")"
		case !w.Synced:
			text += " (not in sync)"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func (a *app) peerTable(peers []api.Peer) *table.Table {
	t := table.New("NODE", "ENDPOINT", "PREFIX", "HANDSHAKE", "RECEIVED", "SENT", "KEY")
	peers = slices.SortedFunc(slices.Values(peers), func(x, y api.Peer) int {
		return cmp.Or(cmp.Compare(x.Node, y.Node), cmp.Compare(x.PublicKey, y.PublicKey))
	})
	for _, p := range peers {
		endpoint, prefix := "", ""
		if p.Endpoint.IsValid() {
			endpoint = p.Endpoint.String()
		}
		if p.Prefix.IsValid() {
			prefix = p.Prefix.String()
		}
		t.Add(p.Node, endpoint, prefix, ageText(p.LastHandshake, a.env.Now()), byteText(p.Rx), byteText(p.Tx), p.PublicKey)
	}
	return t
}

// dropTable lists the reasons with drops, the most frequent first.
func dropTable(drops map[string]api.Drop) *table.Table {
	reasons := slices.SortedFunc(maps.Keys(drops), func(x, y string) int {
		return cmp.Or(cmp.Compare(drops[y].Packets, drops[x].Packets), cmp.Compare(x, y))
	})
	t := table.New("REASON", "PACKETS", "SIZE", "MEANING")
	for _, reason := range reasons {
		if d := drops[reason]; d.Packets > 0 {
			t.Add(reason, d.Packets, byteText(d.Bytes), d.Text)
		}
	}
	return t
}
