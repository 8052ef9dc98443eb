// Command signet-agent runs on every node: it keeps the tunnel, the policy,
// the services and the endpoints of this node as the cluster wants them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set at build time.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		if !errors.Is(err, context.Canceled) {
			fmt.Fprintln(os.Stderr, "signet-agent:", err)
			return 1
		}
	}
	return 0
}

func command() *cobra.Command {
	opts := defaultOptions()
	cmd := &cobra.Command{
		Use:           "signet-agent",
		Short:         "Keep this node's part of the Signet pod network",
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := opts.load()
			if err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: cfg.level}))
			cfg.settings.log = log
			return runAgent(cmd.Context(), cfg, log)
		},
	}
	opts.register(cmd.Flags())
	cmd.AddCommand(&cobra.Command{
		Use:   "mount-bpffs DIR",
		Short: "Mount a BPF file system on DIR if there is none",
		Args:  cobra.ExactArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return mountBPFFS(args[0]) },
	})
	return cmd
}
