// Command signet-cni is Signet's CNI plugin. The container runtime calls it as
// /opt/cni/bin/signet; "signet-cni install" puts it there.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/signet-cni/signet/cni/plugin"
)

func main() { os.Exit(run()) }

func run() int {
	if os.Getenv("CNI_COMMAND") == "" && len(os.Args) > 1 && os.Args[1] == "install" {
		return install(os.Args[2:])
	}
	return plugin.Run()
}

func install(args []string) int {
	err := plugin.Install(args, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	default:
		fmt.Fprintln(os.Stderr, "signet-cni:", err)
		return 1
	}
}
