package pair

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"
)

var vethPlan = Plan{
	HostName: "host", PodName: "pod", MTU: 1400,
	HostMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, PodMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
}

// Neither namespace lists an end of the pair any more, and its name is free at
// once.
func TestDelete(t *testing.T) {
	inNewNamespaces(t, func(pod ns.NetNS) {
		for range 10 {
			if err := add(vethPlan, pod); err != nil {
				t.Errorf("add: %v", err)
			}
			if err := Delete(vethPlan.HostName); err != nil {
				t.Error(err)
			}
			wantLoopbackOnly(t)
			if err := within(pod, func() error { wantLoopbackOnly(t); return nil }); err != nil {
				t.Error(err)
			}
		}
		if err := Delete(vethPlan.HostName); err != nil {
			t.Errorf("delete what is gone: %v", err)
		}
	})
}

func wantLoopbackOnly(t *testing.T) {
	links, err := netlinksafe.LinkList()
	if err != nil || len(links) != 1 || links[0].Attrs().Name != "lo" {
		t.Errorf("links %v, %v", links, err)
	}
}

// The loopback interface cannot be deleted.
func TestDeleteReportsError(t *testing.T) {
	inNewNamespaces(t, func(ns.NetNS) {
		if err := Delete("lo"); !errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("got %v", err)
		}
	})
}

// The kernel frees the link's memory after the link is gone: nobody waits.
func TestGoneBeforeAnswer(t *testing.T) {
	looks := 0
	err := answerOrGone(make(chan error), func() bool { looks++; return looks == 3 })
	if err != nil || looks != 3 {
		t.Errorf("%v after %d looks", err, looks)
	}
}

func TestAnswerBeforeGone(t *testing.T) {
	refused := errors.New("refused")
	for _, want := range []error{nil, refused} {
		answer := make(chan error)
		go func() { answer <- want }()
		if err := answerOrGone(answer, func() bool { return false }); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

// With as many requests in the kernel as may be, the next one waits.
func TestDeletionsAreBounded(t *testing.T) {
	inNewNamespaces(t, func(pod ns.NetNS) {
		if err := add(vethPlan, pod); err != nil {
			t.Errorf("add: %v", err)
		}
		for range maxDeletions {
			deletions <- struct{}{}
		}
		const others = 50 * time.Millisecond
		go func() {
			time.Sleep(others)
			for range maxDeletions {
				<-deletions
			}
		}()
		start := time.Now()
		if err := Delete(vethPlan.HostName); err != nil || time.Since(start) < others {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
