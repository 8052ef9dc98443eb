package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// errStarting is why an agent that has just begun is not ready.
var errStarting = errors.New("checking the node")

// preflight checks what the node must offer, before anything is touched, and
// sets what every router needs. It names all that is missing at once.
func preflight(cfg config) error {
	return errors.Join(
		checkBTF(),
		checkBPFFS(cfg.pinPath),
		checkWritable(cfg.conflists, "the container runtime's CNI configuration"),
		enableForwarding(cfg.clusterCIDR.V6.IsValid()),
	)
}

func checkBTF() error {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		return fmt.Errorf("the kernel has no BTF (%w): use one built with CONFIG_DEBUG_INFO_BTF, Linux 6.1 or later", err)
	}
	return nil
}

// checkBPFFS makes sure that pins outlive the agent.
func checkBPFFS(pinPath string) error {
	parent := filepath.Dir(pinPath)
	var fs unix.Statfs_t
	if err := unix.Statfs(parent, &fs); err != nil {
		return fmt.Errorf("BPF file system at %s: %w", parent, err)
	}
	if fs.Type != unix.BPF_FS_MAGIC {
		return fmt.Errorf("%s is no BPF file system: mount one there (mount -t bpf bpf %s)", parent, parent)
	}
	return nil
}

func checkWritable(dir, what string) error {
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return fmt.Errorf("%s (%s) cannot be written: %w", dir, what, err)
	}
	return nil
}

// mountBPFFS mounts a BPF file system on dir where there is none.
func mountBPFFS(dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("BPF file system at %s: %w", dir, err)
	}
	if fs.Type == unix.BPF_FS_MAGIC {
		return nil
	}
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		return fmt.Errorf("mount a BPF file system on %s: %w", dir, err)
	}
	return nil
}
