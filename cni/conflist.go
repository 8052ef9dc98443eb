package cni

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

const (
	// ConflistName is the file that makes the container runtime use Signet.
	ConflistName = "05-signet.conflist"
	// NetworkName is Signet's name in the network configuration.
	NetworkName = "signet"
	// conflistVersion is the newest that containerd 1.6 understands.
	conflistVersion = "1.0.0"
)

// ConflistOptions say what stands in the network configuration.
type ConflistOptions struct {
	// AgentSocket is the path of the agent's socket on the host; if empty,
	// the plugin's default.
	AgentSocket string
	// PortMap and Bandwidth chain the plugins of these names behind Signet.
	PortMap, Bandwidth bool
}

type conflist struct {
	CNIVersion string       `json:"cniVersion"`
	Name       string       `json:"name"`
	Plugins    []pluginConf `json:"plugins"`
}

type pluginConf struct {
	Type         string          `json:"type"`
	AgentSocket  string          `json:"agentSocket,omitempty"`
	SNAT         bool            `json:"snat,omitempty"`
	Capabilities map[string]bool `json:"capabilities,omitempty"`
}

// WriteConflist writes the network configuration into dir, usually
// /etc/cni/net.d, atomically and with mode 0600. Once it is there the kubelet
// starts pods, so the agent calls this last. A file that is the same already
// is left alone: every change makes the container runtime load it again.
func WriteConflist(dir string, opts ConflistOptions) error {
	data, err := json.MarshalIndent(newConflist(opts), "", "  ")
	if err != nil {
		return fmt.Errorf("write network configuration: %w", err)
	}
	data = append(data, '\n')
	path := filepath.Join(dir, ConflistName)
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, data) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write network configuration: %w", err)
	}
	return writeFile(path, data)
}

// RemoveConflist removes the network configuration: the node starts no more
// pods. That there is none is no error.
func RemoveConflist(dir string) error {
	return removeFile(filepath.Join(dir, ConflistName))
}

func newConflist(opts ConflistOptions) conflist {
	signet := pluginConf{Type: "signet", AgentSocket: opts.AgentSocket}
	chain := []pluginConf{signet}
	if opts.PortMap {
		chain = append(chain, pluginConf{
			Type: "portmap", SNAT: true, Capabilities: map[string]bool{"portMappings": true},
		})
	}
	if opts.Bandwidth {
		// The runtime tells a plugin only what it declares: Signet must know
		// too which pods are limited.
		limits := map[string]bool{"bandwidth": true}
		chain[0].Capabilities = limits
		chain = append(chain, pluginConf{Type: "bandwidth", Capabilities: limits})
	}
	return conflist{CNIVersion: conflistVersion, Name: NetworkName, Plugins: chain}
}
