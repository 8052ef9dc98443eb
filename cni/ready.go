package cni

import (
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/signet-cni/signet/cni/internal/wire"
)

// ready returns the error that says why pods cannot be attached, if so.
func (m *Manager) ready() error {
	if err := m.cfg.Network.Ready(); err != nil {
		code := types.ErrPluginNotAvailable
		if errors.Is(err, ErrLimited) {
			code = types.ErrLimitedConnectivity
		}
		return refuse(code, "the signet agent is not ready: %v", err)
	}
	if err := checkNode(m.cfg.Node()); err != nil {
		return refuse(types.ErrPluginNotAvailable, "%v", err)
	}
	return nil
}

// minMTU is IPv4's; a pod with less could not use the network.
const minMTU = 576

func checkNode(node Node) error {
	if _, err := podRanges(node); err != nil {
		return err
	}
	if !usable(node.Addr) {
		return fmt.Errorf("node %s has no usable IPv4 address (%v)", node.Name, node.Addr)
	}
	if node.PodCIDR6.IsValid() && !usable6(node.Addr6) {
		return fmt.Errorf("node %s has no usable IPv6 address (%v)", node.Name, node.Addr6)
	}
	if node.MTU < minMTU || node.MTU > 65535 {
		return fmt.Errorf("node %s's pod MTU %d is outside %d to 65535", node.Name, node.MTU, minMTU)
	}
	return nil
}

// refuse makes an error that the plugin reports with a CNI error code.
func refuse(code uint, format string, args ...any) error {
	return &wire.Error{Header: wire.NewHeader(), Code: code, Message: fmt.Sprintf(format, args...)}
}

// tryAgain makes of any error the answer to an ADD that may succeed later.
func tryAgain(err error) error {
	return refuse(types.ErrTryAgainLater, "%v", err)
}
