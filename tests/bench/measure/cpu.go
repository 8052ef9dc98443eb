package measure

import (
	"bufio"
	"fmt"
	"os"
)

// ticksPerSecond is the kernel's USER_HZ, 100 on every architecture that
// Signet runs on (proc(5)).
const ticksPerSecond = 100

// cost is what a side has used up in all its rounds.
type cost struct {
	seconds float64 // of all CPUs, whoever they worked for
	bytes   int64
}

// of measures once and adds up.
func (c *cost) of(side Side) (Sample, error) {
	before, err := busySeconds()
	if err != nil {
		return Sample{}, err
	}
	sample, err := side()
	if err != nil {
		return Sample{}, err
	}
	after, err := busySeconds()
	if err != nil {
		return Sample{}, err
	}
	c.seconds += after - before
	c.bytes += sample.Bytes
	return sample, nil
}

// perGB is 0 where no bytes were counted.
func (c *cost) perGB() float64 {
	if c.bytes == 0 {
		return 0
	}
	return c.seconds / (float64(c.bytes) / 1e9)
}

// busySeconds is for how long the machine's CPUs have worked, interrupts
// included, since it booted.
func busySeconds() (float64, error) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var user, nice, system, idle, iowait, irq, softirq float64
	_, err = fmt.Fscanf(bufio.NewReader(f), "cpu %f %f %f %f %f %f %f",
		&user, &nice, &system, &idle, &iowait, &irq, &softirq)
	if err != nil {
		return 0, fmt.Errorf("/proc/stat: %w", err)
	}
	return (user + nice + system + irq + softirq) / ticksPerSecond, nil
}
