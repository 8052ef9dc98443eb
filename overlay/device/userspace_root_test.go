package device_test

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
)

// userspacePair gives two connected nodes, and the process that serves the
// first. It skips where the kernel has WireGuard: there is no process then.
func userspacePair(t *testing.T) (a, b *member, server *exec.Cmd) {
	t.Helper()
	lab(t)
	a = &member{node: newNode(t, 0)}
	if kind, err := a.openDevice(); err == nil && kind == device.Kernel {
		t.Skip("the kernel has WireGuard")
	}
	server = a.startServer()
	a.newKey()
	a.public = overlay.Node{
		Name: "node-0", PublicKey: a.key.PublicKey(), Endpoint: netip.AddrPortFrom(a.address, overlay.DefaultPort),
		PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/24")}, Addresses: []netip.Addr{a.address},
	}
	a.ensure()
	b = newMember(t, 1)
	a.configure(b)
	b.configure(a)
	return a, b, server
}

// TestServerRestart ends signet-wg in both ways. The device stays, with index,
// MTU and routes, and drops everything; the next process attaches to it, and
// Configure brings the tunnel back.
func TestServerRestart(t *testing.T) {
	for name, sig := range map[string]unix.Signal{"SIGTERM": unix.SIGTERM, "SIGKILL": unix.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			a, b, server := userspacePair(t)
			jumbo := a.desired(b)
			jumbo.MTU = 1300 // unlike what the process would choose
			a.do(func() error { _, err := a.device.Configure(jumbo); return err })
			reach(t, a, b)
			before := a.status()

			stop(server, sig)
			if err := a.try(func() error { _, err := a.device.Status(); return err }); err == nil {
				t.Error("Status succeeds although nothing serves the device")
			}
			if err := a.try(func() error { _, err := a.device.Configure(jumbo); return err }); err == nil {
				t.Error("Configure succeeds although nothing serves the device")
			}
			a.do(func() error {
				if got := routeTo(netip.MustParseAddr("10.244.1.1")); got != "signet0 from "+a.address.String() {
					t.Errorf("without the process the route is %s", got)
				}
				return nil
			})

			started := time.Now()
			a.startServer()
			a.ensure()
			if after := a.status(); after.Index != before.Index || after.MTU != 1300 || len(after.Peers) != 0 {
				t.Errorf("after the restart %+v, before %+v", after, before)
			}
			var changes device.Changes
			a.do(func() (err error) { changes, err = a.device.Configure(jumbo); return err })
			if !changes.PrivateKey || !changes.ListenPort || len(changes.Added) != 1 || len(changes.System) != 0 {
				t.Errorf("Configure restored %+v", changes)
			}
			reach(t, a, b)
			t.Logf("traffic flows %s after the start of the new process", time.Since(started).Round(time.Millisecond))
			reach(t, b, a)
		})
	}
}

func TestSocketIsPrivate(t *testing.T) {
	a, _, _ := userspacePair(t)
	a.do(func() error {
		for path, want := range map[string]os.FileMode{
			"/var/run/wireguard":              os.ModeDir | 0o700,
			"/var/run/wireguard/signet0.sock": os.ModeSocket | 0o600,
		} {
			info, err := os.Lstat(path)
			if err != nil {
				return err
			}
			if info.Mode() != want {
				t.Errorf("%s has mode %s, want %s", path, info.Mode(), want)
			}
		}
		return nil
	})
}

// TestWatch: the agent learns of a restart without asking.
func TestWatch(t *testing.T) {
	a, _, server := userspacePair(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var pokes <-chan struct{}
	a.do(func() (err error) {
		pokes, err = device.Watch(ctx, func() []string { return []string{overlay.DefaultDevice} })
		return err
	})
	poked := func() bool {
		select {
		case _, ok := <-pokes:
			return ok
		default:
			return false
		}
	}
	stop(server, unix.SIGKILL)
	eventually(t, 2*time.Second, "a poke when the process goes", poked)
	for poked() {
	}
	a.startServer()
	eventually(t, 2*time.Second, "a poke when the next comes", poked)
	cancel()
	eventually(t, 2*time.Second, "the end of the watch", func() bool {
		select {
		case _, ok := <-pokes:
			return !ok
		default:
			return false
		}
	})
}

// TestStandby: the TUN device has one owner, whose socket a second process must
// not take away. When the owner ends, the second takes over.
func TestStandby(t *testing.T) {
	a, b, first := userspacePair(t)
	second := a.startServer()
	reach(t, a, b)
	stop(first, unix.SIGTERM)
	started := time.Now()
	eventually(t, 5*time.Second, "the second process serves", func() bool {
		return a.try(func() error {
			_, err := a.device.Status()
			return err
		}) == nil && a.status().PublicKey != a.public.PublicKey
	})
	a.configure(b)
	reach(t, a, b)
	t.Logf("reached again after %s", time.Since(started).Round(time.Millisecond))
	stop(second, unix.SIGTERM)
}
