package datapath

import "fmt"

// DropCount sums up the drops of one reason over all CPUs since the node
// started.
type DropCount struct {
	Packets, Bytes uint64
}

// Drops reads the counters of every reason.
func (d *Datapath) Drops() (map[Reason]DropCount, error) {
	counts := map[Reason]DropCount{}
	for _, r := range Reasons() {
		var perCPU []bpfDropCount
		if err := d.objs.Drops.Lookup(uint32(r), &perCPU); err != nil {
			return nil, fmt.Errorf("read drop counter %s: %w", r, err)
		}
		counts[r] = sum(perCPU)
	}
	return counts, nil
}

func sum(perCPU []bpfDropCount) DropCount {
	var total DropCount
	for _, c := range perCPU {
		total.Packets += c.Packets
		total.Bytes += c.Bytes
	}
	return total
}

// EventLoss is how many events did not reach the ring since the node started.
type EventLoss struct {
	// Suppressed drop events exceeded the rate limit of one CPU; the drops
	// are counted all the same.
	Suppressed uint64
	// Lost events met a full ring.
	Lost uint64
}

// EventLoss reads the counters of events that were not sent.
func (d *Datapath) EventLoss() (EventLoss, error) {
	var perCPU []bpfEventBudget
	var loss EventLoss
	if err := d.objs.EventBudgets.Lookup(uint32(0), &perCPU); err != nil {
		return loss, fmt.Errorf("read event budgets: %w", err)
	}
	for _, b := range perCPU {
		loss.Suppressed += b.Suppressed
		loss.Lost += b.Lost
	}
	return loss, nil
}
