package filters

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// setNFTables filters what the router forwards: flows that connection tracking
// knows pass, others take one look-up.
func setNFTables(router *harness.Namespace, pairs []pair) error {
	elements := make([]string, 0, len(pairs))
	for _, p := range pairs {
		elements = append(elements, fmt.Sprintf("%s . %s . udp . %d : accept", p.from, p.to, openPort))
	}
	rules := fmt.Sprintf(`table ip bench {}
delete table ip bench
table ip bench {
	map verdicts {
		type ipv4_addr . ipv4_addr . inet_proto . inet_service : verdict
		elements = { %s }
	}
	chain forward {
		type filter hook forward priority filter; policy drop
		ct state established,related accept
		ip saddr . ip daddr . ip protocol . th dport vmap @verdicts
	}
}
`, strings.Join(elements, ", "))
	return router.Try(func() error { return feed(rules, "nft", "-f", "-") })
}

// setIPTables does the same with one set and two rules.
func setIPTables(router *harness.Namespace, pairs []pair) error {
	var set strings.Builder
	fmt.Fprintf(&set, "create -exist pairs hash:ip,port,ip hashsize 16384\nflush pairs\n")
	for _, p := range pairs {
		fmt.Fprintf(&set, "add pairs %s,udp:%d,%s\n", p.from, openPort, p.to)
	}
	const rules = `*filter
:FORWARD DROP
-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A FORWARD -m set --match-set pairs src,dst,dst -j ACCEPT
COMMIT
`
	return router.Try(func() error {
		if err := feed(set.String(), "ipset", "restore"); err != nil {
			return err
		}
		return feed(rules, "iptables-restore")
	})
}

// feed runs a command in the calling thread's network namespace.
func feed(input, command string, args ...string) error {
	cmd := exec.Command(command, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, out)
	}
	return nil
}

// forgetFlows empties the namespace's connection tracking.
func forgetFlows() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }
