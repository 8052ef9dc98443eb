package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// qosDevice bounds for how long processors may take to wake up, while it is open
// (Linux, Documentation/power/pm_qos_interface.rst).
const qosDevice = "/dev/cpu_dma_latency"

// keepAwake keeps processors from sleeping until it is closed: idle ones look for
// work again and again. How long one takes to wake up depends on how long it has
// slept, and so on everything that wakes it: a WireGuard that wakes processors
// without need would look quicker than one that does not.
func keepAwake() (io.Closer, error) {
	f, err := os.OpenFile(qosDevice, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(binary.NativeEndian.AppendUint32(nil, 0)); err != nil { // microseconds
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", qosDevice, err)
	}
	return f, nil
}
