package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/signet-cni/signet/cni/internal/wire"
)

// DefaultAgentSocket is where the agent listens unless the network
// configuration says otherwise.
const DefaultAgentSocket = "/run/signet/cni.sock"

// maxSocketPath is the longest path of a unix socket in bytes.
const maxSocketPath = 107

// config is Signet's part of a network configuration.
type config struct {
	CNIVersion    string          `json:"cniVersion"`
	Name          string          `json:"name"`
	Type          string          `json:"type"`
	AgentSocket   string          `json:"agentSocket"`
	Capabilities  map[string]bool `json:"capabilities"`
	RuntimeConfig struct {
		Bandwidth bandwidth `json:"bandwidth"`
	} `json:"runtimeConfig"`
	PrevResult       json.RawMessage      `json:"prevResult"`
	ValidAttachments []types.GCAttachment `json:"cni.dev/valid-attachments"`
}

// bandwidth is what the bandwidth plugin, later in the chain, will apply: bits
// per second and bits; 0 is unlimited.
type bandwidth struct {
	IngressRate  uint64 `json:"ingressRate"`
	IngressBurst uint64 `json:"ingressBurst"`
	EgressRate   uint64 `json:"egressRate"`
	EgressBurst  uint64 `json:"egressBurst"`
}

func (b bandwidth) limited() bool { return b.IngressRate != 0 || b.EgressRate != 0 }

// Fields that a configuration may have: an administrator's and the runtime's.
// The runtime's "args" is allowed and ignored.
var fields = []string{
	"cniVersion", "name", "type", "agentSocket", "capabilities",
	"runtimeConfig", "prevResult", "args",
}

// runtimePrefix begins further fields that only the runtime may add (CNI
// specification 1.1, section 1).
const runtimePrefix = "cni.dev/"

// parseConfig reads a network configuration. Its errors are CNI errors: code 2
// for unknown fields, 6 for what cannot be decoded, 7 for invalid values.
func parseConfig(data []byte) (config, error) {
	if err := knownFields(data); err != nil {
		return config{}, err
	}
	conf := config{AgentSocket: DefaultAgentSocket}
	if err := json.Unmarshal(data, &conf); err != nil {
		return config{}, types.NewError(types.ErrDecodingFailure, "malformed network configuration", err.Error())
	}
	if err := conf.validate(); err != nil {
		return config{}, types.NewError(types.ErrInvalidNetworkConfig, "invalid network configuration", err.Error())
	}
	return conf, nil
}

// knownFields refuses fields that Signet would ignore: a misspelt one must not
// look as if it worked. Names are compared exactly, unlike encoding/json does.
func knownFields(data []byte) error {
	var all map[string]json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&all); err != nil {
		return types.NewError(types.ErrDecodingFailure, "malformed network configuration", err.Error())
	}
	for name := range all {
		if !slices.Contains(fields, name) && !strings.HasPrefix(name, runtimePrefix) {
			return types.NewError(types.ErrUnsupportedField,
				fmt.Sprintf("unknown field %.80q in the network configuration", name),
				"known fields: "+strings.Join(fields, ", "))
		}
	}
	return nil
}

func (c config) validate() error {
	if c.Type != "signet" {
		return fmt.Errorf("type is %.80q, not \"signet\"", c.Type)
	}
	s := c.AgentSocket
	if !filepath.IsAbs(s) || filepath.Clean(s) != s || len(s) > maxSocketPath {
		return fmt.Errorf("agentSocket %.200q is not an absolute, clean path of at most %d bytes", s, maxSocketPath)
	}
	for name := range c.Capabilities {
		if name != "bandwidth" {
			return fmt.Errorf("signet has no capability %.80q", name)
		}
	}
	return nil
}

// pod is what the runtime says about the pod in CNI_ARGS. The fields are
// filled by name.
type podArgs struct {
	types.CommonArgs
	K8S_POD_NAMESPACE          types.UnmarshallableString //nolint:revive,staticcheck // names given by the kubelet
	K8S_POD_NAME               types.UnmarshallableString //nolint:revive,staticcheck // likewise
	K8S_POD_UID                types.UnmarshallableString //nolint:revive,staticcheck // likewise
	K8S_POD_INFRA_CONTAINER_ID types.UnmarshallableString //nolint:revive,staticcheck // likewise
}

// parsePod reads CNI_ARGS. Signet decides by namespaces and labels, so it
// serves Kubernetes pods and nothing else.
func parsePod(args string) (podArgs, error) {
	var pod podArgs
	if err := types.LoadArgs(args, &pod); err != nil {
		return pod, types.NewError(types.ErrInvalidEnvironmentVariables, "malformed CNI_ARGS", err.Error())
	}
	if pod.K8S_POD_NAMESPACE == "" || pod.K8S_POD_NAME == "" {
		return pod, types.NewError(types.ErrInvalidEnvironmentVariables,
			"CNI_ARGS lacks K8S_POD_NAMESPACE or K8S_POD_NAME: signet attaches Kubernetes pods only", "")
	}
	err := wire.ValidatePod(string(pod.K8S_POD_NAMESPACE), string(pod.K8S_POD_NAME), string(pod.K8S_POD_UID))
	if err != nil {
		return pod, types.NewError(types.ErrInvalidEnvironmentVariables, "invalid CNI_ARGS", err.Error())
	}
	return pod, nil
}
