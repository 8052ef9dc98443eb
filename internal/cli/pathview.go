package cli

import (
	"fmt"
	"strings"

	"github.com/signet-cni/signet/internal/cli/table"
)

// pathColumns are the checks in the order of the table.
var pathColumns = []string{checkPod, checkService, checkDNS, checkNode, checkFromNode, checkPolicy, checkEncrypted}

// pathAdvice says what to do about a check that fails.
var pathAdvice = map[string]string{
	checkPod:       "\"signet status\", then \"signet flows --verdict dropped --since 5m\"; between nodes most often a firewall that drops UDP of the tunnel's port",
	checkService:   "\"signet service list\" and \"kubectl get endpointslices\"; if POD fails too, begin there",
	checkDNS:       "\"kubectl -n kube-system get pods -l k8s-app=kube-dns\"; if SERVICE fails too, begin there",
	checkNode:      "a firewall on the node, or another process on --host-port; \"signet flows --verdict dropped --since 5m\"",
	checkFromNode:  "\"signet flows --verdict dropped --since 5m\"; \"ip route show proto 0x51\" on the node",
	checkPolicy:    "\"signet policy why\" for these two, and \"signet status\" for audit mode, in which nothing is dropped",
	checkEncrypted: "take the node out of service and look at its routes: \"ip route show proto 0x51\"; report it",
	checkWorld:     "\"nft list table ip signet\" and the default route on the node; does it reach the address itself?",
}

// cellState is what the checks of one cell come to.
type cellState struct{ tried, wrong, unknown int }

func (s cellState) cell() table.Cell {
	switch {
	case s.wrong > 0:
		return table.Cell{Text: "FAIL", Colour: table.Red}
	case s.unknown > 0:
		return table.Cell{Text: "?", Colour: table.Yellow}
	case s.tried == 0:
		return table.Cell{}
	}
	return table.Cell{Text: "ok", Colour: table.Green}
}

// showPaths shows the results; the error is errTold unless all paths work.
func (a *app) showPaths(r *connectivityRun, absent []Failure) error {
	if a.output == "json" {
		if err := writeJSON(a.env.Stdout, Answer[PathResult]{Items: r.results, Failed: absent}); err != nil {
			return err
		}
	} else if err := a.pathTables(r); err != nil {
		return err
	}
	told := a.tellFailed(absent, len(r.target.agents))
	for _, result := range r.results {
		if !result.OK {
			told = errTold
		}
	}
	return told
}

func (a *app) pathTables(r *connectivityRun) error {
	cells := map[[3]string]cellState{}
	wrong := 0
	for _, result := range r.results {
		key := [3]string{result.From, result.To, result.Check}
		state := cells[key]
		state.tried++
		switch {
		case result.Unknown:
			state.unknown++
		case !result.OK:
			state.wrong++
		}
		if !result.OK {
			wrong++
		}
		cells[key] = state
	}
	columns := []string{"FROM", "TO"}
	for _, check := range pathColumns {
		columns = append(columns, strings.ToUpper(check))
	}
	t := table.New(columns...)
	r.pairs(func(from, to int) {
		row := []any{r.agents[from].Node, r.agents[to].Node}
		for _, check := range pathColumns {
			row = append(row, cells[[3]string{r.agents[from].Node, r.agents[to].Node, check}].cell())
		}
		t.Add(row...)
	})
	if err := t.Write(a.env.Stdout, a.env.Colour); err != nil {
		return err
	}
	if err := a.worldTable(r, cells); err != nil {
		return err
	}
	if err := a.wrongPaths(r.results); err != nil {
		return err
	}
	return a.print(fmt.Sprintf("\n%d of %s as they have to be", len(r.results)-wrong, count(len(r.results), "check", "checks")))
}

func (a *app) worldTable(r *connectivityRun, cells map[[3]string]cellState) error {
	if r.flags.world == "" {
		return a.print("\nthe world was not tried: --world HOST:PORT")
	}
	if err := a.print(""); err != nil {
		return err
	}
	t := table.New("FROM", "TO", "WORLD")
	for _, agent := range r.agents {
		t.Add(agent.Node, r.flags.world, cells[[3]string{agent.Node, r.flags.world, checkWorld}].cell())
	}
	return t.Write(a.env.Stdout, a.env.Colour)
}

// wrongPaths tells what failed, and for each kind of check what to do.
func (a *app) wrongPaths(results []PathResult) error {
	advised := map[string]bool{}
	for _, result := range results {
		if result.OK {
			continue
		}
		line := fmt.Sprintf("%s, %s -> %s: %s", strings.ToUpper(result.Check), result.From, result.To, result.Detail)
		text := "\n" + table.Clean(line)
		if !advised[result.Check] {
			advised[result.Check] = true
			text += "\n  what to do: " + pathAdvice[result.Check]
		}
		if err := a.print(text); err != nil {
			return err
		}
	}
	return nil
}
