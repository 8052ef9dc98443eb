package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/signet-cni/signet/cni/internal/pair"
	"github.com/signet-cni/signet/cni/internal/wire"
)

func check(args *skel.CmdArgs) error {
	conf, agent, err := newClient(args)
	if err != nil {
		return err
	}
	key, err := keyOf(args)
	if err != nil {
		return err
	}
	netns, err := openNetNS(args.Netns)
	if err != nil {
		return err
	}
	defer func() { _ = netns.Close() }() // a file descriptor of this process
	lease, err := agent.check(context.Background(), key)
	if err != nil {
		return cniError(err)
	}
	if err := checkPrevious(conf, lease); err != nil {
		return err
	}
	return pair.Verify(planOf(key, lease), lease.HostIfIndex, netns)
}

// checkPrevious compares the agent's view with the result of the ADD.
func checkPrevious(conf config, lease wire.Lease) error {
	if len(bytes.TrimSpace(conf.PrevResult)) == 0 {
		return types.NewError(types.ErrInvalidNetworkConfig, "CHECK needs the prevResult of ADD", "")
	}
	var previous struct {
		IPs []struct {
			Address types.IPNet `json:"address"`
		} `json:"ips"`
	}
	if err := json.Unmarshal(conf.PrevResult, &previous); err != nil {
		return types.NewError(types.ErrDecodingFailure, "malformed prevResult", err.Error())
	}
	named := map[string]bool{}
	for _, ip := range previous.IPs {
		named[ip.Address.IP.String()] = true
	}
	for _, a := range lease.Addresses {
		if !named[a.Addr.String()] {
			return fmt.Errorf("the pod's address is %s, which the result of ADD does not name", a.Addr)
		}
	}
	return nil
}
