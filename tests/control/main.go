// Command control runs a command against a real API server of its own, in which
// the manifest is applied: control -etcd E -kube-apiserver A -kubectl K COMMAND...
// The command finds an administrator's kubeconfig in SIGNET_TEST_KUBECONFIG.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/control/plane"
)

// cleanUpTime is what an interrupted command has to clean up.
const cleanUpTime = 20 * time.Second

func main() { os.Exit(run()) }

func run() int {
	var b plane.Binaries
	flag.StringVar(&b.Etcd, "etcd", "etcd", "the command etcd")
	flag.StringVar(&b.APIServer, "kube-apiserver", "kube-apiserver", "the command kube-apiserver")
	kubectl := flag.String("kubectl", "kubectl", "the command kubectl")
	listen := flag.String("listen", "127.0.0.1", "address that the API server serves at")
	manifest := flag.String("manifest", "deploy/signet.yaml", "what to apply first")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := control(ctx, b, *listen, *kubectl, *manifest, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "control:", err)
		return 1
	}
	return 0
}

func control(ctx context.Context, b plane.Binaries, listen, kubectl, manifest string, command []string) (err error) {
	if len(command) == 0 {
		return errors.New("no command")
	}
	dir, err := os.MkdirTemp("", "signet-control-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p, err := plane.Start(ctx, dir, listen, b)
	if err != nil {
		return err
	}
	defer p.Stop()
	if err := p.Apply(ctx, kubectl, manifest); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "SIGNET_TEST_KUBECONFIG="+p.Kubeconfig)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = cleanUpTime
	return cmd.Run()
}
