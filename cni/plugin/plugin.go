// Package plugin is the CNI plugin of type "signet" (CNI specification 1.0
// and 1.1). It makes and removes interfaces; everything that outlives one
// call is the agent's (package cni).
package plugin

import (
	"context"
	"errors"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/signet-cni/signet/cni/internal/wire"
)

const about = "Signet CNI plugin; \"signet-cni install --bin-dir DIR\" installs it"

// Run executes the command that the CNI_* environment variables describe. It
// writes CNI JSON to stdout, and nothing else; the return value is the exit
// code of the process.
func Run() int {
	funcs := skel.CNIFuncs{Add: add, Del: del, Check: check, GC: collect, Status: status}
	err := skel.PluginMainFuncsWithError(funcs, version.PluginSupports("1.0.0", "1.1.0"), about)
	if err == nil {
		return 0
	}
	// Without a reader on stdout the exit code is all that is left to say.
	_ = err.Print()
	return 1
}

// newClient reads the configuration of any command.
func newClient(args *skel.CmdArgs) (config, *client, error) {
	conf, err := parseConfig(args.StdinData)
	if err != nil {
		return config{}, nil, err
	}
	return conf, dialer(conf.AgentSocket), nil
}

func keyOf(args *skel.CmdArgs) (wire.Key, error) {
	key := wire.Key{ContainerID: args.ContainerID, IfName: args.IfName}
	if err := key.Validate(); err != nil {
		return key, types.NewError(types.ErrInvalidEnvironmentVariables, err.Error(), "")
	}
	return key, nil
}

func del(args *skel.CmdArgs) error {
	_, agent, err := newClient(args)
	if err != nil {
		return err
	}
	key, err := keyOf(args)
	if err != nil {
		return err
	}
	err = remove(context.Background(), agent, key)
	if errors.Is(err, errAbsent) {
		// The interface is gone. The agent finds that out when it starts.
		return nil
	}
	return err
}

func status(args *skel.CmdArgs) error {
	_, agent, err := newClient(args)
	if err != nil {
		return err
	}
	err = agent.status(context.Background())
	if errors.Is(err, errAbsent) {
		return types.NewError(types.ErrPluginNotAvailable, err.Error(), "")
	}
	return err
}

func collect(args *skel.CmdArgs) error {
	conf, agent, err := newClient(args)
	if err != nil {
		return err
	}
	keys := make([]wire.Key, 0, len(conf.ValidAttachments))
	for _, a := range conf.ValidAttachments {
		keys = append(keys, wire.Key{ContainerID: a.ContainerID, IfName: a.IfName})
	}
	return cniError(agent.collect(context.Background(), keys))
}

// cniError gives an error of the client the code that fits most commands.
func cniError(err error) error {
	if errors.Is(err, errAbsent) {
		return types.NewError(types.ErrTryAgainLater, err.Error(), "")
	}
	return err
}
