package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const sysctls = "/proc/sys/net"

// enableForwarding lets the node pass packets between its pods and the world.
func enableForwarding(ipv6 bool) error {
	err := enable("ipv4/ip_forward")
	if !ipv6 {
		return err
	}
	if readSysctl("ipv6/conf/all/forwarding") == "1" {
		return err
	}
	return errors.Join(err, keepAdvertisedRoutes(), enable("ipv6/conf/all/forwarding"))
}

// keepAdvertisedRoutes lets devices that have their routes from router
// advertisements keep them: a node that forwards heeds these only where
// accept_ra is 2, and forgets the others' routes.
func keepAdvertisedRoutes() error {
	devices, err := os.ReadDir(filepath.Join(sysctls, "ipv6/conf"))
	if err != nil {
		return fmt.Errorf("enable IPv6 forwarding: %w (the kernel has no IPv6: take the IPv6 range out of clusterCIDR)", err)
	}
	var errs []error
	for _, device := range devices {
		name := filepath.Join("ipv6/conf", device.Name(), "accept_ra")
		if device.Name() != "all" && device.Name() != "default" && readSysctl(name) == "1" {
			errs = append(errs, writeSysctl(name, "2"))
		}
	}
	return errors.Join(errs...)
}

func enable(name string) error {
	if readSysctl(name) == "1" {
		return nil
	}
	return writeSysctl(name, "1")
}

// readSysctl gives "" for what cannot be read.
func readSysctl(name string) string {
	now, err := os.ReadFile(filepath.Join(sysctls, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(now))
}

func writeSysctl(name, value string) error {
	if err := os.WriteFile(filepath.Join(sysctls, name), []byte(value), 0); err != nil {
		return fmt.Errorf("set %s: %w", strings.ReplaceAll("net/"+name, "/", "."), err)
	}
	return nil
}
