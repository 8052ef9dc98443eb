package userspace

import (
	"runtime"
	"sync/atomic"
	"testing"

	"golang.zx2c4.com/wireguard/tun"
)

// watched is a TUN device that looks, when it is read, whether what was begun
// before has run.
type watched struct {
	tun.Device
	begun, behind int64
	ran           atomic.Int64
}

func (w *watched) Read([][]byte, []int, int) (int, error) {
	w.behind += w.begun - w.ran.Load()
	w.begun++
	go func() { w.ran.Add(1) }()
	return 1, nil
}

func TestPatient(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that nothing runs beside the reader
	inner := &watched{}
	dev := &patient{Device: inner}
	const reads = 100
	for range reads {
		if n, err := dev.Read(nil, nil, 0); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if inner.behind > reads/10 { // the runtime may run others first
		t.Errorf("in %d reads %d goroutines had not run yet that the one before began", reads, inner.behind)
	}
}
