package datapath

import (
	"time"

	"golang.org/x/sys/unix"
)

// membarrierGlobal is MEMBARRIER_CMD_GLOBAL: the call returns after an RCU
// grace period (membarrier(2)).
const membarrierGlobal = 1

// inFlight is how long quiesce waits where the kernel cannot tell (nohz_full).
// Programs run for microseconds, unless the machine itself is held up.
const inFlight = 50 * time.Millisecond

// quiesce waits until every program has ended that ran when it was called:
// programs are RCU readers. It takes about 10 ms.
func quiesce() {
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno != 0 {
		time.Sleep(inFlight)
	}
}
