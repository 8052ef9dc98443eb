package userspace

import (
	"errors"
	"testing"

	"golang.zx2c4.com/wireguard/tun"
)

// batches is a TUN device that gives so many packets a time, then fails.
type batches struct {
	tun.Device
	sizes []int
}

var errNoMore = errors.New("no more packets")

func (b *batches) Read([][]byte, []int, int) (int, error) {
	if len(b.sizes) == 0 {
		return 0, errNoMore
	}
	n := b.sizes[0]
	b.sizes = b.sizes[1:]
	return n, nil
}

func (b *batches) Write(bufs [][]byte, _ int) (int, error) { return len(bufs), nil }

func TestTraffic(t *testing.T) {
	var crossing traffic
	if got := crossing.batch(); got != 0 {
		t.Errorf("%v packets at a time, although none crossed", got)
	}
	dev := counted{&batches{sizes: []int{1, 5}}, &crossing}
	for {
		if _, err := dev.Read(nil, nil, 0); err != nil {
			break
		}
	}
	if _, err := dev.Write(make([][]byte, 9), 0); err != nil {
		t.Fatal(err)
	}
	if got := crossing.batch(); got != 5 { // 1, 5 and 9
		t.Errorf("%v packets at a time, want 5", got)
	}
	if got := crossing.batch(); got != 0 {
		t.Errorf("%v packets at a time since then, want 0", got)
	}
}
