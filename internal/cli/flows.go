package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/internal/api"
)

// defaultLast is how many flows of the past are shown.
const defaultLast = 20

// errStreamEnded says that an agent stopped telling flows.
var errStreamEnded = errors.New("the agent ended the stream: does it restart?")

// flowFlags are the flags of "flows". Those that filter are named as the
// parameters of the agent's API.
type flowFlags struct {
	api.Query
	since      string
	identity   string
	labels     []string
	podAddrs   []string
	whileStdin bool
}

func (a *app) flowsCommand() *cobra.Command {
	var f flowFlags
	cmd := &cobra.Command{
		Use: "flows", Short: "Show who talks to whom, and what was dropped and why", Args: noArgs,
		Long: `Show who talks to whom, and what was dropped and why.

A line is a verdict: the first packet of a flow, a flow that a changed policy
judged again, or a drop; or, "ended", what a flow carried in all. The node that
receives a packet judges it; for the node that sends it, it is "forwarded". The
filters apply to both ends: a flow is shown if one of its ends has the
namespace, pod, identity and labels asked for.`,
		Example: `  signet flows                                      the last 20 of the cluster
  signet flows -f --verdict dropped                 drops, as they happen
  signet flows --since 10m --pod concert/vip        a pod's last ten minutes
  signet flows -f --namespace concert --port 80 -o wide
  signet flows --last -1 -o json | jq 'select(.reason == "policy-ingress")'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.parse(cmd.Flags().Changed("last"), a.env.Now()); err != nil {
				return usageError{err}
			}
			return a.flows(cmd.Context(), &f)
		},
	}
	f.register(cmd)
	a.outputFlag(cmd, "compact", "wide", "json")
	return cmd
}

func (f *flowFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVarP(&f.Follow, "follow", "f", false, "go on with new flows")
	flags.IntVar(&f.Last, "last", defaultLast, "how many flows of the past; -1: all that the nodes remember; without it and with --since: all")
	flags.StringVar(&f.since, "since", "", "only flows of that age, like 5m, or from that time (RFC 3339)")
	flags.StringVarP(&f.Namespace, "namespace", "n", "", "namespace of one end")
	flags.StringVar(&f.Pod, "pod", "", "pod at one end, as NAMESPACE/NAME")
	flags.StringVar(&f.identity, "identity", "", "identity of one end: a number, or host, world, remote-node, …")
	flags.StringArrayVar(&f.labels, "label", nil, "label KEY=VALUE of one end's pod; may be repeated")
	flags.StringVar(&f.Policy, "policy", "", "policy that decided, as NAMESPACE/NAME")
	flags.StringVar(&f.Verdict, "verdict", "", "admitted, dropped, forwarded, audit or ended")
	flags.StringVar(&f.Reason, "reason", "", "reason of a drop, like policy-ingress")
	flags.StringVar(&f.Protocol, "protocol", "", "TCP, UDP, SCTP, ICMP, …")
	flags.Uint16Var(&f.Port, "port", 0, "port of one end or of the Service")
	flags.StringArrayVar(&f.podAddrs, "pod-address", nil, "addresses of --pod, for nodes that do not know it")
	flags.BoolVar(&f.whileStdin, "while-stdin", false, "end when standard input does")
	for _, name := range []string{"pod-address", "while-stdin"} {
		flags.Lookup(name).Hidden = true // one signet tells another
	}
}

// parse fills in the query from the flags that need reading.
func (f *flowFlags) parse(lastGiven bool, now time.Time) error {
	if f.Last < -1 {
		return fmt.Errorf("--last %d: want a number of flows, or -1 for all", f.Last)
	}
	if f.since != "" {
		at, err := parseSince(f.since, now)
		if err != nil {
			return err
		}
		f.Since = at
		if !lastGiven {
			f.Last = -1
		}
	}
	var errs []error
	if f.Verdict != "" {
		errs = append(errs, f.ParseVerdict(f.Verdict))
	}
	if f.identity != "" {
		errs = append(errs, f.ParseIdentity(f.identity))
	}
	for _, label := range f.labels {
		errs = append(errs, f.ParseLabel(label))
	}
	for _, text := range f.podAddrs {
		addr, err := netip.ParseAddr(text)
		f.PodAddrs = append(f.PodAddrs, addr)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// shownUntil leaves out what was before a time, which may come late.
func (f *flowFlags) shownUntil(at time.Time) {
	if next := at.Add(time.Nanosecond); next.After(f.Since) {
		f.Since, f.since, f.Last = next, next.Format(time.RFC3339Nano), -1
	}
}

func parseSince(text string, now time.Time) (time.Time, error) {
	if age, err := time.ParseDuration(text); err == nil && age >= 0 {
		return now.Add(-age), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("--since %q: want an age like 90s, 5m or 2h, or a time like 2006-01-02T15:04:05Z", text)
	}
	return at, nil
}

// command gives the arguments that ask for the same on a node. An age stays an
// age: it counts by the node's clock.
func (f *flowFlags) command() []string {
	command := []string{"flows", "--while-stdin", "--last=" + strconv.Itoa(f.Last)}
	if f.since != "" {
		command = append(command, "--since="+f.since)
	}
	values := f.Values()
	values.Del("since")
	values.Del("last")
	for _, key := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[key] {
			command = append(command, "--"+key+"="+value)
		}
	}
	return command
}

func (a *app) flows(ctx context.Context, f *flowFlags) error {
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	view := &flowView{app: a}
	if t.local == nil {
		err = a.clusterFlows(ctx, t, f, view)
	} else {
		err = a.localFlows(ctx, t.local, f, view)
	}
	if f.Follow && ctx.Err() != nil {
		return nil // the user has seen enough
	}
	return err
}

func (a *app) localFlows(ctx context.Context, client *api.Client, f *flowFlags, view *flowView) error {
	if f.whileStdin {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go func() {
			_, _ = io.Copy(io.Discard, a.env.Stdin) // any end is the end
			cancel()
		}()
	}
	err := client.Flows(ctx, f.Query, func(r api.Record) error { return view.show("", r) })
	switch {
	case f.whileStdin && ctx.Err() != nil:
		return nil
	case f.Follow && err == nil:
		return errStreamEnded
	default:
		return explainLocal(err)
	}
}
