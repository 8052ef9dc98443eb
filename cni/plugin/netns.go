package plugin

import (
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"
)

// openNetNS opens the pod's network namespace and refuses the host's own: the
// library checks that too, but only after the deed.
func openNetNS(path string) (ns.NetNS, error) {
	netns, err := ns.GetNS(path)
	if err != nil {
		return nil, types.NewError(types.ErrInvalidNetNS, "cannot open the pod's network namespace", err.Error())
	}
	same, err := isOwnNetNS(netns)
	if err == nil && same {
		err = errors.New("it is the plugin's own")
	}
	if err != nil {
		_ = netns.Close() // the error in hand says more
		return nil, types.NewError(types.ErrInvalidNetNS, "invalid network namespace "+path, err.Error())
	}
	return netns, nil
}

// isOwnNetNS says whether netns is the one that this process runs in.
func isOwnNetNS(netns ns.NetNS) (bool, error) {
	var own, other unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &own); err != nil {
		return false, fmt.Errorf("find the plugin's network namespace: %w", err)
	}
	if err := unix.Fstat(int(netns.Fd()), &other); err != nil {
		return false, fmt.Errorf("compare network namespaces: %w", err)
	}
	return own.Dev == other.Dev && own.Ino == other.Ino, nil
}
