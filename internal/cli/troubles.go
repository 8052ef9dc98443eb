package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli/table"
)

// trouble is something that is wrong with a node, and what to do about it.
type trouble struct{ text, advice string }

// troubles gives at least one for a node that is not ready.
func troubles(s api.Status) []trouble {
	var list []trouble
	told := map[string]bool{}
	for _, sub := range s.Subsystems {
		if sub.State != api.Failing {
			continue
		}
		text := sub.Name + ": " + sub.Problem
		told[text] = true
		list = append(list, trouble{text, sub.Advice})
	}
	for _, p := range problems(s) {
		if !told[p] {
			list = append(list, trouble{text: p})
		}
	}
	for _, p := range s.Device.Peers {
		if p.Tx > 0 && p.LastHandshake.IsZero() {
			list = append(list, trouble{
				fmt.Sprintf("tunnel: packets for node %s are sent, and it never answered a handshake", nodeOf(p)),
				fmt.Sprintf("open UDP port %d between the nodes, and see \"signet status --node %s\"", s.Device.ListenPort, nodeOf(p)),
			})
		}
	}
	for _, m := range s.Maps {
		if m.Max > 0 && m.Entries*10 >= m.Max*9 {
			list = append(list, trouble{
				fmt.Sprintf("kernel table %s is nearly full: %d of %d entries", m.Name, m.Entries, m.Max), tableAdvice(m.Name),
			})
		}
	}
	return list
}

func nodeOf(p api.Peer) string {
	if p.Node == "" {
		return p.PublicKey
	}
	return p.Node
}

func tableAdvice(name string) string {
	if name == "flows" {
		return "the least recently used flows are forgotten and judged anew; see who opens so many: \"signet flows --last -1\""
	}
	return "what does not fit will be refused and told here; see which objects are many: \"signet policy list\", \"signet service list\""
}

// notes are what to know of the nodes together.
func notes(items []api.Status) []string {
	var list []string
	byVersion := map[string][]string{}
	audited := map[string]bool{}
	everywhere := false
	var lost, suppressed uint64
	for _, s := range items {
		byVersion[s.Version] = append(byVersion[s.Version], s.Node)
		everywhere = everywhere || s.Audit.Everywhere
		for _, namespace := range s.Audit.Namespaces {
			audited[namespace] = true
		}
		lost, suppressed = lost+s.EventLoss.Lost, suppressed+s.EventLoss.Suppressed
	}
	if len(byVersion) > 1 {
		var parts []string
		for _, version := range slices.Sorted(maps.Keys(byVersion)) {
			parts = append(parts, fmt.Sprintf("%s on %s", version, strings.Join(byVersion[version], ", ")))
		}
		list = append(list, "agents of different versions: "+strings.Join(parts, "; "),
			"  what to do: wait for the roll-out: \"kubectl -n kube-system rollout status daemonset signet\"")
	}
	if text := auditText(everywhere, slices.Sorted(maps.Keys(audited))); text != "" {
		list = append(list, "audit mode: what policies deny is admitted "+text,
			"  what to do: see what would be dropped with \"signet flows --verdict audit\", then turn it off")
	}
	if lost > 0 {
		list = append(list, fmt.Sprintf("%d flow events were lost (the ring to the agent was full), %d drops over the rate limit were only counted", lost, suppressed))
	}
	return list
}

// auditText says where audit mode is on, "" if nowhere.
func auditText(everywhere bool, namespaces []string) string {
	switch {
	case everywhere:
		return "everywhere (auditMode in the ConfigMap signet-config)"
	case len(namespaces) > 0:
		return "in namespace " + strings.Join(namespaces, ", ") + " (annotation signet-cni.io/audit)"
	}
	return ""
}

func auditCell(m api.AuditMode) table.Cell {
	switch {
	case m.Everywhere:
		return table.Cell{Text: "EVERYWHERE", Colour: table.Yellow}
	case len(m.Namespaces) > 0:
		return table.Cell{Text: strings.Join(m.Namespaces, ","), Colour: table.Yellow}
	}
	return table.Cell{Text: "off"}
}

// subsystemsCell sums up the parts of a node's agent.
func subsystemsCell(s api.Status) table.Cell {
	var bad []string
	works := 0
	for _, sub := range s.Subsystems {
		switch sub.State {
		case api.Works:
			works++
		case api.Failing:
			bad = append(bad, sub.Name)
		}
	}
	switch {
	case len(s.Subsystems) == 0:
		return table.Cell{} // an older agent
	case len(bad) > 0:
		return table.Cell{Text: strings.Join(bad, ",") + " failing", Colour: table.Red}
	case works < len(s.Subsystems):
		return table.Cell{Text: fmt.Sprintf("%d of %d ok", works, len(s.Subsystems)), Colour: table.Yellow}
	}
	return table.Cell{Text: fmt.Sprintf("%d ok", works), Colour: table.Green}
}

func subsystemText(list []api.Subsystem) string {
	parts := make([]string, 0, len(list))
	for _, sub := range list {
		parts = append(parts, sub.Name+" "+sub.State)
	}
	return strings.Join(parts, ", ")
}

// mapTable lists the kernel's tables that hold anything.
func mapTable(usage []api.MapUsage) *table.Table {
	t := table.New("TABLE", "ENTRIES", "LIMIT")
	for _, m := range usage {
		if m.Entries > 0 {
			t.Add(m.Name, m.Entries, m.Max)
		}
	}
	return t
}
