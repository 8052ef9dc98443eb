package userspace

import (
	"runtime"

	"golang.zx2c4.com/wireguard/tun"
)

// patient is a TUN device whose reader lets the goroutines go first that it
// handed a packet to. Where packets come one by one there is nothing more to
// read, and on a single processor the packet in hand would wait while the kernel
// says so. Several packets at a time are followed by more, and reading on makes
// the batches larger. With more processors somebody else has the packet already,
// and a reader that steps back comes last behind bulk of the other direction.
type patient struct {
	tun.Device
	last int // packets that the last read gave
}

// Read implements tun.Device. It has one caller.
func (p *patient) Read(bufs [][]byte, sizes []int, offset int) (n int, err error) {
	if p.last == 1 && runtime.GOMAXPROCS(0) == 1 {
		runtime.Gosched()
	}
	p.last, err = p.Device.Read(bufs, sizes, offset)
	return p.last, err
}
