package pair

import (
	"strings"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
)

// A device of another kind than the plan's is refused, whatever its name and
// address.
func TestVerifyKind(t *testing.T) {
	inNewNamespaces(t, func(pod ns.NetNS) {
		if err := add(vethPlan, pod); err != nil {
			t.Errorf("add: %v", err)
		}
		if _, err := verifyLink(vethPlan, vethPlan.HostName, vethPlan.HostMAC); err != nil {
			t.Error(err)
		}
		netkit := vethPlan
		netkit.Netkit = true
		_, err := verifyLink(netkit, netkit.HostName, netkit.HostMAC)
		if err == nil || !strings.Contains(err.Error(), "is a veth, not a netkit") {
			t.Errorf("got %v", err)
		}
	})
}
