package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli/table"
)

func (a *app) encryptCommand() *cobra.Command {
	status := &cobra.Command{
		Use: "status", Short: "Show every node's sessions with every other node", Args: noArgs,
		Long: `Show every node's sessions with every other node: the kind of WireGuard, keys by
their first characters and age, the last handshake, bytes, endpoint and MTU.

Every pair of nodes shakes hands at least every three minutes, whether pods talk
or not. The exit code is 0 if every peer of every node asked is well, 1
otherwise.`,
		Example: `  signet encrypt status                    every node
  signet encrypt status --node worker-1    one node
  signet encrypt status -o json | jq '.items[].peers[] | select(.problem)'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.encryptStatus(cmd.Context()) },
	}
	a.outputFlag(status, "table", "json")
	return group("encrypt", "encryption", "See how the traffic between nodes is encrypted", status)
}

func (a *app) encryptStatus(ctx context.Context) error {
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	answer, err := gather(ctx, t, func(ctx context.Context, c *api.Client) ([]api.Encryption, error) {
		one, err := c.Encryption(ctx)
		return []api.Encryption{one}, err
	}, "encrypt", "status")
	if err != nil {
		return err
	}
	slices.SortFunc(answer.Items, func(x, y api.Encryption) int { return cmp.Compare(x.Node, y.Node) })
	if a.output == "json" {
		err = writeJSON(a.env.Stdout, answer)
	} else {
		err = a.showEncryption(answer.Items)
	}
	if err != nil {
		return err
	}
	if err := a.tellFailed(answer.Failed, len(answer.Items)+len(answer.Failed)); err != nil {
		return err
	}
	if ill := slices.ContainsFunc(answer.Items, encryptionIll); ill {
		return errTold
	}
	return nil
}

func encryptionIll(e api.Encryption) bool {
	return len(e.Problems) > 0 || slices.ContainsFunc(e.Peers, func(p api.EncryptionPeer) bool { return p.Problem != "" })
}

func (a *app) showEncryption(items []api.Encryption) error {
	for i, e := range items {
		if i > 0 {
			if err := a.print(""); err != nil {
				return err
			}
		}
		if err := a.print(a.encryptionHead(e)); err != nil {
			return err
		}
		if len(e.Peers) == 0 {
			continue
		}
		if err := a.encryptionPeers(e).Write(a.env.Stdout, a.env.Colour); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) encryptionHead(e api.Encryption) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s WireGuard, MTU %d (pods %d) over %s, key %s made %s", e.Node, cmp.Or(e.Kind, "no"), e.MTU,
		e.PodMTU, cmp.Or(strings.Join(e.Underlay, ", "), "nothing"), api.Fingerprint(e.Key.PublicKey),
		ageText(e.Key.Made, a.env.Now()))
	if r := e.Rotation; r.Running {
		fmt.Fprintf(&text, "\nchanging keys: %s", r.Step)
		if len(r.Waiting) > 0 {
			fmt.Fprintf(&text, ", waiting for %s", strings.Join(r.Waiting, ", "))
		}
	}
	for _, problem := range e.Problems {
		fmt.Fprintf(&text, "\n%s", table.Paint(table.Clean(problem), table.Red, a.env.Colour))
	}
	return text.String()
}

func (a *app) encryptionPeers(e api.Encryption) *table.Table {
	t := table.New("PEER", "WELL", "KEY", "KEY AGE", "HANDSHAKE", "RECEIVED", "SENT", "DEVICE", "ENDPOINT", "PROBLEM")
	t.Indent = "  "
	peers := slices.SortedFunc(slices.Values(e.Peers), func(x, y api.EncryptionPeer) int { return cmp.Compare(x.Node, y.Node) })
	for _, p := range peers {
		endpoint := ""
		if p.Endpoint.IsValid() {
			endpoint = p.Endpoint.String()
		}
		t.Add(p.Node, readyCell(p.Problem == ""), api.Fingerprint(p.Key.PublicKey), keyAge(p.Key.Made, a.env.Now()),
			ageText(p.LastHandshake, a.env.Now()), byteText(p.Rx), byteText(p.Tx), p.Device, endpoint, p.Problem)
	}
	return t
}

// keyAge is coarse: keys live for weeks.
func keyAge(made, now time.Time) string {
	if made.IsZero() {
		return "unknown"
	}
	return ageText(made, now)
}
