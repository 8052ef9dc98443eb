package harness

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/cni/plugin"
	"github.com/signet-cni/signet/internal/guard"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/userspace"
)

// role, in the environment, says what this binary is to be: nothing (enter the
// laboratory), the laboratory, a node's signet-wg, its agent or the CNI plugin, or
// the wireguard-go that Signet is compared with.
const (
	envRole     = "SIGNET_NETNS_ROLE"
	roleInside  = "inside"
	roleServer  = "signet-wg"
	rolePlain   = "wireguard-go"
	rolePlugin  = "signet-cni"
	roleAgent   = "signet-agent"
	roleGuard   = "signet-guard" // of its systemd unit
	envAgent    = "SIGNET_NETNS_AGENT"
	serverMTU   = 1420
	exitTrouble = 1
)

var whyNot = "harness.Main does not run" // "" inside the laboratory

// Main is what the main function, or TestMain, of a program that uses this
// package consists of. It runs body inside the laboratory: a child process in
// a network and a mount namespace of its own, so that neither a packet nor a
// file can leave. Without root it runs body outside; see Require.
func Main(body func() int) int {
	switch os.Getenv(envRole) {
	case roleServer:
		return serveWireGuard()
	case rolePlain:
		return servePlainWireGuard()
	case rolePlugin:
		return plugin.Run()
	case roleGuard:
		if err := guard.Main(os.Args[2:], os.Stderr); err != nil { // behind "guard"
			fmt.Fprintln(os.Stderr, "guard:", err)
			return exitTrouble
		}
		return 0
	case roleAgent:
		fmt.Fprintln(os.Stderr, "agent:", serveAgent(context.Background()))
		return exitTrouble
	case roleInside:
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "prepare the laboratory:", err)
			return exitTrouble
		}
		whyNot = ""
		return body()
	}
	if os.Geteuid() != 0 {
		whyNot = "not root"
		return body()
	}
	return enter()
}

// Require skips the test outside the laboratory, or fails it where that must
// not happen.
func Require(t interface {
	TB
	Skipf(format string, args ...any)
},
) {
	t.Helper()
	if whyNot == "" {
		return
	}
	if os.Getenv("CI") == "true" || os.Getenv("SIGNET_REQUIRE_ROOT") == "1" {
		t.Fatalf("needs network namespaces: %s", whyNot)
	}
	t.Skipf("needs network namespaces: %s", whyNot)
}

// itself makes a command of this binary in another role.
func itself(role string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), envRole+"="+role)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	return cmd
}

func serveWireGuard() int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if err := userspace.Serve(ctx, []string{overlay.DefaultDevice, overlay.DetourDevice}, serverMTU, log); err != nil {
		fmt.Fprintln(os.Stderr, "signet-wg:", err)
		return exitTrouble
	}
	return 0
}

// prepare makes the outermost namespace a router that knows no way for
// anything of the cluster: what leaves the tunnel ends here.
func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, p := range []string{
		"10.0.0.0/8", NodeRange.String(), WorldRange.String(),
		"fc00::/7", NodeRange6.String(), WorldRange6.String(),
	} {
		err := netlink.RouteAdd(&netlink.Route{Dst: ipNet(p), Type: unix.RTN_UNREACHABLE})
		if err != nil {
			return fmt.Errorf("close %s: %w", p, err)
		}
	}
	return prepareRouter()
}
