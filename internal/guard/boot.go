package guard

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// unitName is the systemd unit that writes the guard when a node boots.
const unitName = "signet-guard.service"

// unit runs the guard before the network is up. Debian's own rules, which it
// may load at the same time, begin by deleting everybody's.
const unit = `[Unit]
Description=Keep pods' packets off the wire until Signet's agent runs
Documentation=https://github.com/signet-cni/signet
DefaultDependencies=no
Conflicts=shutdown.target
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=local-fs.target nftables.service
ConditionPathExists=%[1]s

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=%[1]s %[2]s

[Install]
WantedBy=sysinit.target
`

// InstallUnit makes systemd, whose directory for units is dir, write the same
// guard when the node boots, before any network is up: processes and proxies
// may know pods' addresses long before an agent runs. program is where the host
// has the CNI plugin, which does it. That all is so already is no error.
func InstallUnit(dir, program string, c Config) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	path, text := filepath.Join(dir, unitName), fmt.Appendf(nil, unit, program, strings.Join(c.arguments(), " "))
	if old, err := os.ReadFile(path); err != nil || !bytes.Equal(old, text) {
		if err := write(path, text); err != nil {
			return fmt.Errorf("install the guard of the next boot: %w", err)
		}
	}
	wanted := filepath.Join(dir, "sysinit.target.wants")
	err := os.MkdirAll(wanted, 0o755)
	if err == nil {
		err = os.Symlink("../"+unitName, filepath.Join(wanted, unitName))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("enable the guard of the next boot: %w", err)
	}
	return nil
}

// write leaves the old file or the whole new one.
func write(path string, text []byte) error {
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

const usage = `usage: signet-cni guard --pods CIDR,... --covered DEVICE,... --ports PORT,... --tunnel CIDR

Writes the nftables rules that keep pods' packets off the wire, as the agent
does. Its systemd unit runs this when the node boots.
`

// arguments are what Main takes for c.
func (c Config) arguments() []string {
	return []string{
		"guard", "--pods", join(c.Pods, netip.Prefix.String), "--covered", strings.Join(c.Covered, ","),
		"--ports", join(c.Ports, func(p uint16) string { return strconv.Itoa(int(p)) }), "--tunnel", c.Tunnel.String(),
	}
}

func join[T any](list []T, text func(T) string) string {
	words := make([]string, len(list))
	for i, item := range list {
		words[i] = text(item)
	}
	return strings.Join(words, ",")
}

// Main is the command that sets the guard; args are the arguments behind
// "guard". Its error may be flag.ErrHelp.
func Main(args []string, stderr io.Writer) error {
	c, err := parse(args, stderr)
	if err != nil {
		return err
	}
	return Set(c)
}

func parse(args []string, stderr io.Writer) (c Config, err error) {
	flags := flag.NewFlagSet("guard", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprint(stderr, usage) // nowhere to report it
		flags.PrintDefaults()
	}
	flags.Func("pods", "all pods' ranges", func(s string) error { return split(s, &c.Pods, netip.ParsePrefix) })
	flags.Func("covered", "devices that lead to pods; \"*\" at the end stands for anything", func(s string) error {
		c.Covered = strings.Split(s, ",")
		return nil
	})
	flags.Func("ports", "UDP ports of WireGuard", func(s string) error { return split(s, &c.Ports, parsePort) })
	flags.Func("tunnel", "all nodes' prefixes inside the tunnel", func(s string) (err error) {
		c.Tunnel, err = netip.ParsePrefix(s)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("guard: what is %q?", flags.Arg(0))
	}
	return c, nil
}

func split[T any](words string, into *[]T, parse func(string) (T, error)) error {
	for word := range strings.SplitSeq(words, ",") {
		item, err := parse(word)
		if err != nil {
			return err
		}
		*into = append(*into, item)
	}
	return nil
}

func parsePort(word string) (uint16, error) {
	port, err := strconv.ParseUint(word, 10, 16)
	return uint16(port), err
}
