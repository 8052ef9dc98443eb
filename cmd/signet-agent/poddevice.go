package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// podDevice is what the interfaces of new pods are made of.
type podDevice string

const (
	vethDevice   podDevice = "veth"
	netkitDevice podDevice = "netkit"
	autoDevice   podDevice = "auto" // netkit where the kernel has it
)

// parsePodDevice takes nothing for veth.
func parsePodDevice(text string) (podDevice, error) {
	switch d := podDevice(text); d {
	case "":
		return vethDevice, nil
	case vethDevice, netkitDevice, autoDevice:
		return d, nil
	}
	return "", fmt.Errorf("podDevice %q: want veth, netkit or auto", text)
}

// netkit says whether new pods get netkit devices. The probe, which is asked
// once, fails where the kernel has none: that is an error unless either will do.
func (d podDevice) netkit(probe func() error) (bool, error) {
	if d == vethDevice {
		return false, nil
	}
	err := probe()
	if d == autoDevice && errors.Is(err, unix.EOPNOTSUPP) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("podDevice %s: %w (netkit needs Linux 6.7, built with CONFIG_NETKIT)", d, err)
	}
	return true, nil
}
