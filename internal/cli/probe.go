package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/internal/probe"
)

// sniffing is the line that a watcher of devices writes when it watches.
const sniffing = "watching\n"

// probeCommand holds what one signet runs by another in pods of the
// connectivity test.
func (a *app) probeCommand() *cobra.Command {
	cmd := group("probe", "probes", "What \"connectivity test\" runs in its pods", a.probeServeCommand(), a.probeAskCommand(), a.probeSniffCommand())
	cmd.Hidden = true
	return cmd
}

func (a *app) probeServeCommand() *cobra.Command {
	var name, address string
	var ports []uint
	cmd := &cobra.Command{
		Use: "serve", Short: "Answer over TCP and UDP with a name", Args: noArgs,
		Example: "  signet probe serve --name server-0 --port 8080",
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := make([]uint16, 0, len(ports))
			for _, p := range ports {
				if p == 0 || p > 65535 {
					return usageError{fmt.Errorf("--port %d: want 1 to 65535", p)}
				}
				list = append(list, uint16(p))
			}
			return probe.Serve(cmd.Context(), name, address, list)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name to answer with")
	cmd.Flags().StringVar(&address, "address", "", "address to listen on (default all)")
	cmd.Flags().UintSliceVar(&ports, "port", nil, "port to listen on; may be repeated")
	return cmd
}

func (a *app) probeAskCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ask", Short: "Try what standard input asks for", Args: noArgs,
		Long:    `Try what standard input asks for: a JSON list of questions. An outcome is a line.`,
		Example: `  echo '[{"id": "1", "kind": "tcp", "at": "10.0.0.1:80", "wait": 5000000000}]' | signet probe ask`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var questions []probe.Question
			if err := json.NewDecoder(a.env.Stdin).Decode(&questions); err != nil {
				return usageError{fmt.Errorf("read the questions: %w", err)}
			}
			out := json.NewEncoder(a.env.Stdout)
			return probe.Ask(cmd.Context(), questions, func(o probe.Outcome) error { return out.Encode(o) })
		},
	}
}

func (a *app) probeSniffCommand() *cobra.Command {
	var marker string
	var devices, towards []string
	var ports []uint
	cmd := &cobra.Command{
		Use: "sniff", Short: "Count the frames with a marker in clear, until standard input ends", Args: noArgs,
		Example: "  signet probe sniff --marker x7f3 --device signet0 --towards 192.0.2.7 --port 51872",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(marker) < 8 {
				return usageError{errors.New("--marker: want 8 characters or more")}
			}
			seen, err := a.sniff(cmd, marker, devices, towards, ports)
			if err != nil {
				return err
			}
			return json.NewEncoder(a.env.Stdout).Encode(seen)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&marker, "marker", "", "text to look for")
	flags.StringSliceVar(&devices, "device", nil, "device to watch")
	flags.StringSliceVar(&towards, "towards", nil, "addresses: watch the devices over which they are reached")
	flags.UintSliceVar(&ports, "port", nil, "UDP ports of WireGuard")
	return cmd
}

func (a *app) sniff(cmd *cobra.Command, marker string, devices, towards []string, ports []uint) ([]probe.Seen, error) {
	var addrs []netip.Addr
	for _, text := range towards {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, usageError{err}
		}
		addrs = append(addrs, addr)
	}
	underlay, err := probe.Towards(addrs)
	if err != nil {
		return nil, err
	}
	list := make([]uint16, 0, len(ports))
	for _, p := range ports {
		list = append(list, uint16(p))
	}
	sniffer, err := probe.Sniff(append(underlay, devices...), marker, list)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(a.env.Stdout, sniffing); err != nil {
		return nil, err
	}
	probe.Until(cmd.Context(), a.env.Stdin)
	return sniffer.Stop()
}

// parseSniff reads what the command wrote.
func parseSniff(out []byte) (seen []probe.Seen, err error) {
	rest, found := bytes.CutPrefix(out, []byte(sniffing))
	if !found {
		return nil, errors.New("the watch of the devices did not begin")
	}
	err = json.Unmarshal(rest, &seen)
	return seen, err
}
