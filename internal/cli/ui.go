package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/internal/flowmap"
	"github.com/signet-cni/signet/internal/ui"
)

// defaultListen is where the page is served.
const defaultListen = "127.0.0.1:9480"

func (a *app) uiCommand() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use: "ui", Short: "Show a live map of who talks to whom, in your browser", Args: noArgs,
		Long: `Show a live map of who talks to whom, in your browser.

The command serves a page on this machine, and tells its address. The page shows
namespaces, workloads and the flows between them as they happen, denied ones in
red; a click on a flow tells the reason, the policies and the rule, a click on a
workload its labels, identities and policies. The flows are those of "signet
flows": of all nodes, or, on a node or with --node, of that one.

Only who has the whole address, with its token, sees the map.`,
		Example: `  signet ui                            then open the address that it prints
  signet ui --listen 127.0.0.1:0       on any free port
  signet ui --context production --node worker-1`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serveUI(cmd.Context(), listen) },
	}
	cmd.Flags().StringVar(&listen, "listen", defaultListen, "address and port of the page; port 0: any")
	return cmd
}

func (a *app) serveUI(ctx context.Context, listen string) error {
	at, err := netip.ParseAddrPort(listen)
	if err != nil {
		return usageError{fmt.Errorf("--listen %q: want an address and a port, like %s", listen, defaultListen)}
	}
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("%w: choose another port with --listen, or any with --listen 127.0.0.1:0", err)
	}
	if !at.Addr().IsLoopback() {
		a.complain("the page is not only for this machine: whoever learns its address with the token sees your flows, and it is sent unencrypted")
	}
	flows, token := flowmap.New(), ui.NewToken()
	server := ui.New(flows, ui.Info{Cluster: a.where(t), Version: a.env.Version}, token, l.Addr())
	if err := a.print(fmt.Sprintf("Open http://%s/#%s\nCtrl-C ends it.", l.Addr(), token)); err != nil {
		return errors.Join(err, l.Close())
	}
	feed := newMapFeed(a, t, flows)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() { feed.run(ctx); close(done) }()
	err = server.Serve(ctx, l)
	cancel()
	<-done
	return err
}

// where names what the page looks at.
func (a *app) where(t target) string {
	if t.local != nil {
		return "this node"
	}
	return t.cluster.Name()
}
