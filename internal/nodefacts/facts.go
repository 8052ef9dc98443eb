// Package nodefacts reads from a node's kernel what a bug report needs beside
// what the agent knows: links, routes, rules, packet filter and settings. It
// reads no key: WireGuard's devices are told of by the agent.
package nodefacts

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Facts are as the kernel gives them, a line each.
type Facts struct {
	Kernel     string            `json:"kernel"` // /proc/version
	Load       string            `json:"load"`
	Memory     []string          `json:"memory"`
	Links      []string          `json:"links"`
	Addresses  []string          `json:"addresses"`
	Routes     []string          `json:"routes"` // of all tables
	Rules      []string          `json:"rules"`
	Neighbours []string          `json:"neighbours"`
	Filter     []string          `json:"filter"` // nftables
	Settings   map[string]string `json:"settings"`
	Mounts     []string          `json:"mounts"` // of BPF file systems
	CNI        map[string]string `json:"cni,omitempty"`
	// Missing says what could not be read, and why.
	Missing []string `json:"missing,omitempty"`
}

// settings are the ones below /proc/sys that change what becomes of packets.
var settings = []string{
	"kernel/unprivileged_bpf_disabled", "net/core/bpf_jit_enable", "net/core/netdev_max_backlog", "net/core/rmem_max",
	"net/ipv4/ip_forward", "net/ipv4/conf/*/rp_filter", "net/ipv4/conf/*/forwarding", "net/ipv4/conf/*/accept_local",
	"net/ipv6/conf/*/disable_ipv6", "net/ipv6/conf/*/forwarding", "net/netfilter/nf_conntrack_count",
	"net/netfilter/nf_conntrack_max", "net/bridge/bridge-nf-call-iptables",
}

// Collect reads all facts. cniDir is where the container runtime reads CNI
// configuration.
func Collect(cniDir string) Facts {
	f := Facts{Settings: map[string]string{}, CNI: map[string]string{}}
	f.Kernel = f.file("/proc/version")
	f.Load = f.file("/proc/loadavg")
	for _, line := range strings.Split(f.file("/proc/meminfo"), "\n") {
		if strings.HasPrefix(line, "Mem") || strings.HasPrefix(line, "Slab") {
			f.Memory = append(f.Memory, line)
		}
	}
	for _, line := range strings.Split(f.file("/proc/mounts"), "\n") {
		if strings.Contains(line, " bpf ") {
			f.Mounts = append(f.Mounts, line)
		}
	}
	f.links()
	f.routes()
	f.filter()
	f.settings()
	files, _ := filepath.Glob(filepath.Join(cniDir, "*.conf*")) // the pattern is good
	for _, path := range files {                                // others of that directory may hold credentials
		f.CNI[filepath.Base(path)] = f.file(path)
	}
	return f
}

// file reads a small file.
func (f *Facts) file(path string) string {
	raw, err := os.ReadFile(path)
	f.miss(path, err)
	return strings.TrimSpace(string(raw))
}

func (f *Facts) miss(what string, err error) {
	if err != nil {
		f.Missing = append(f.Missing, fmt.Sprintf("%s: %v", what, err))
	}
}

func (f *Facts) links() {
	links, err := netlink.LinkList()
	f.miss("links", err)
	names := map[int]string{}
	for _, link := range links {
		a := link.Attrs()
		names[a.Index] = a.Name
		line := fmt.Sprintf("%d: %s: <%s> type %s mtu %d state %s master %d peer %d address %s", a.Index, a.Name,
			a.Flags, link.Type(), a.MTU, a.OperState, a.MasterIndex, a.ParentIndex, a.HardwareAddr)
		if s := a.Statistics; s != nil {
			line += fmt.Sprintf(" rx %d bytes %d packets %d dropped %d errors tx %d bytes %d packets %d dropped %d errors",
				s.RxBytes, s.RxPackets, s.RxDropped, s.RxErrors, s.TxBytes, s.TxPackets, s.TxDropped, s.TxErrors)
		}
		f.Links = append(f.Links, line)
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	f.miss("addresses", err)
	for _, addr := range addrs {
		f.Addresses = append(f.Addresses, fmt.Sprintf("%s dev %s", addr.IPNet, names[addr.LinkIndex]))
	}
	neighbours, err := netlink.NeighList(0, netlink.FAMILY_ALL)
	f.miss("neighbours", err)
	for _, n := range neighbours {
		f.Neighbours = append(f.Neighbours, fmt.Sprintf("%s dev %s lladdr %s state %#x", n.IP, names[n.LinkIndex], n.HardwareAddr, n.State))
	}
}

// maxRoutes is how many routes are kept: a node that is a router may have very
// many.
const maxRoutes = 5000

func (f *Facts) routes() {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{}, netlink.RT_FILTER_TABLE)
		f.miss("routes", err)
		if len(routes) > maxRoutes {
			f.miss("routes", fmt.Errorf("only %d of %d are kept", maxRoutes, len(routes)))
			routes = routes[:maxRoutes]
		}
		for _, r := range routes {
			f.Routes = append(f.Routes, fmt.Sprintf("%s via %s protocol %d metric %d %s", destination(r.Dst), r.Gw, r.Protocol, r.Priority, r))
		}
		rules, err := netlink.RuleList(family)
		f.miss("rules", err)
		for _, r := range rules {
			f.Rules = append(f.Rules, r.String())
		}
	}
}

func destination(n *net.IPNet) string {
	if n == nil {
		return "default"
	}
	return n.String()
}

func (f *Facts) settings() {
	for _, pattern := range settings {
		paths, _ := filepath.Glob("/proc/sys/" + pattern) // the pattern is good
		slices.Sort(paths)
		for _, path := range paths {
			f.Settings[strings.TrimPrefix(path, "/proc/sys/")] = f.file(path)
		}
	}
}
