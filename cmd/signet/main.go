// Command signet shows what the Signet pod network does and why.
package main

import (
	"context"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/signet-cni/signet/internal/cli"
	"github.com/signet-cni/signet/internal/kube/agents"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	return cli.Run(ctx, os.Args[1:], cli.Env{
		Name: os.Args[0], Version: version,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Colour: os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(os.Stdout.Fd())),
		Now:    time.Now,
		Connect: func(config agents.Config) (cli.Cluster, error) {
			return agents.Connect(config)
		},
	})
}
