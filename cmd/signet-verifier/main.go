// Command signet-verifier finds out which of the identities that nodes list
// their pods really have, for the whole cluster. It runs where only the control
// plane's own pods do, not on the nodes that it looks after.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/internal/kube"
	"github.com/signet-cni/signet/internal/reconcile"
)

// version is set at build time.
var version = "dev"

const (
	// minInterval lets a burst of changes become one round.
	minInterval = 10 * time.Millisecond
	// reportInterval is how often it is told which nodes list too much.
	reportInterval = 10 * time.Second
)

func main() { os.Exit(run()) }

func run() int {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file; empty: the pod's service account")
	name := flag.String("name", os.Getenv("POD_NAME"), "what this process calls itself in the election (default $POD_NAME)")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if flag.NArg() > 0 {
		log.Error("unexpected argument", "argument", flag.Arg(0))
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	log.Info("signet-verifier", "version", version)
	if err := serve(ctx, *kubeconfig, *name, log); err != nil {
		log.Error("signet-verifier ends", "error", err)
		return 1
	}
	return 0
}

// serve watches all the time, so that it can take over at once, and verifies
// while it is elected.
func serve(ctx context.Context, kubeconfig, name string, log *slog.Logger) error {
	client, err := kube.Connect(kubeconfig, name, kube.ClusterRate, log)
	if err != nil {
		return err
	}
	work := &work{reporter: kube.NewReporter(client)}
	work.verify = reconcile.New(reconcile.Config{Name: "verify", Do: work.round, MinInterval: minInterval, Log: log})
	work.report = reconcile.New(reconcile.Config{Name: "report", Do: work.tell, MinInterval: reportInterval, Log: log})
	work.again = time.AfterFunc(kube.RecheckInterval, work.poke)
	defer work.again.Stop()
	if work.verifier, err = kube.NewVerifier(client, func(kube.Kind) { work.poke() }); err != nil {
		return err
	}
	go work.verifier.Run(ctx)
	if err := work.verifier.WaitSynced(ctx); err != nil {
		return err
	}
	go work.verify.Run(ctx)
	go work.report.Run(ctx)
	return client.Lead(ctx, kube.VerifyElection, work.lead)
}

// work is what the elected process does.
type work struct {
	verifier       *kube.Verifier
	reporter       *kube.Reporter
	verify, report *reconcile.Loop
	again          *time.Timer
	elected        atomic.Bool
}

func (w *work) poke() {
	w.verify.Poke()
	w.report.Poke()
}

func (w *work) lead(ctx context.Context) {
	w.verifier.Reset()
	w.elected.Store(true)
	defer w.elected.Store(false)
	w.poke()
	<-ctx.Done()
}

// round verifies what it is time for, and sees to it that the rest has its turn.
func (w *work) round(ctx context.Context) error {
	if !w.elected.Load() {
		return nil
	}
	next, err := w.verifier.Verify(ctx)
	w.again.Reset(next)
	return err
}

func (w *work) tell(ctx context.Context) error {
	if !w.elected.Load() {
		return nil
	}
	return w.reporter.Report(ctx, w.verifier.Problems())
}
