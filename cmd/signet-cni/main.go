// Command signet-cni is Signet's CNI plugin. The container runtime calls it as
// /opt/cni/bin/signet; "signet-cni install" puts it there. "signet guard" is
// what a node runs when it boots.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/signet-cni/signet/cni/plugin"
	"github.com/signet-cni/signet/internal/guard"
)

func main() { os.Exit(run()) }

func run() int {
	if os.Getenv("CNI_COMMAND") == "" && len(os.Args) > 1 {
		switch os.Args[1] {
		case "install":
			return command(plugin.Install)
		case "guard":
			return command(guard.Main)
		}
	}
	return plugin.Run()
}

func command(do func(args []string, stderr io.Writer) error) int {
	err := do(os.Args[2:], os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	default:
		fmt.Fprintln(os.Stderr, "signet-cni:", err)
		return 1
	}
}
