package userspace

import (
	"sync/atomic"

	"golang.zx2c4.com/wireguard/tun"
)

// traffic counts what crosses the TUN devices, in both directions.
type traffic struct{ packets, calls atomic.Int64 }

// batch is how many packets crossed at a time since the last time it was asked,
// 0 if none did.
func (t *traffic) batch() float64 {
	packets, calls := t.packets.Swap(0), t.calls.Swap(0)
	if calls == 0 {
		return 0
	}
	return float64(packets) / float64(calls)
}

func (t *traffic) add(packets int) {
	if packets > 0 {
		t.packets.Add(int64(packets))
		t.calls.Add(1)
	}
}

// counted is a TUN device whose traffic is counted.
type counted struct {
	tun.Device
	traffic *traffic
}

// Read implements tun.Device.
func (c counted) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	n, err := c.Device.Read(bufs, sizes, offset)
	c.traffic.add(n)
	return n, err
}

// Write implements tun.Device.
func (c counted) Write(bufs [][]byte, offset int) (int, error) {
	c.traffic.add(len(bufs))
	return c.Device.Write(bufs, offset)
}
