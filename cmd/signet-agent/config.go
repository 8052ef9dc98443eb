package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube"
	"github.com/signet-cni/signet/overlay"
)

// options are the flags: where things are on this node.
type options struct {
	configPath string
	kubeconfig string
	nodeName   string
	runDir     string
	keyPath    string
	pinPath    string
	conflists  string
	units      string
}

// file is the configuration of the cluster, the same on every node.
type file struct {
	// ClusterID tells clusters apart that could meet: 6 hex digits.
	ClusterID string `json:"clusterID"`
	// ClusterCIDR holds every node's pod range: one range of IPv4 and perhaps
	// one of IPv6.
	ClusterCIDR rangeList `json:"clusterCIDR"`
	// ServiceCIDR holds the ClusterIPs, in the same way.
	ServiceCIDR rangeList `json:"serviceCIDR"`
	// WireguardPort is the UDP port that every node listens on.
	WireguardPort uint16 `json:"wireguardPort"`
	// PodDevice is veth, netkit or auto; absent: veth. Pods keep the device that
	// they started with.
	PodDevice string `json:"podDevice"`
	// LogLevel is debug, info, warn or error.
	LogLevel string `json:"logLevel"`
	// IgnoreLabels are globs over the pod label keys that do not count towards
	// identities; absent: identity.DefaultGlobs. It is followed live.
	IgnoreLabels []string `json:"ignoreLabels"`
	// AuditMode admits everywhere what policies deny, and tells it. It is
	// followed live.
	AuditMode bool `json:"auditMode"`
	// Attestation is audit or enforce; absent: audit. It is followed live.
	Attestation string `json:"attestation"`
	// IdentityGrace is a duration from 20s to 24h; absent: 15m. It is followed
	// live.
	IdentityGrace string `json:"identityGrace"`
	// IdentitiesPerNamespace is what a namespace is warned of before; 0: never;
	// absent: 1000. It is followed live.
	IdentitiesPerNamespace *int `json:"identitiesPerNamespace"`
	// KeyRotation is how old a node's WireGuard key gets before the node changes
	// it, a duration of at least 1h; absent or 0: any age. It is followed live.
	KeyRotation string `json:"keyRotation"`
	// MTU is the largest packet in bytes that the nodes' underlay carries, if that
	// is less than its devices say; absent or 0: what they say. It is followed
	// live.
	MTU int `json:"mtu"`
	// MetricsAddress is where Prometheus gets an answer, such as
	// 127.0.0.1:9470 or :9470; empty: nowhere.
	MetricsAddress string `json:"metricsAddress"`
}

// fixed is what holds from the agent's start to its end.
type fixed struct {
	cluster     overlay.ClusterID
	clusterCIDR overlay.Ranges
	serviceCIDR overlay.Ranges
	port        uint16
	pods        podDevice
	level       slog.Level
	metrics     string // address; "": none
}

// parsedFile is a file that can be used.
type parsedFile struct {
	fixed
	live live
}

// config is everything the agent was told, parsed.
type config struct {
	options
	fixed
	settings *settings
}

func defaultOptions() *options {
	return &options{
		configPath: "/etc/signet/config.yaml",
		nodeName:   os.Getenv("NODE_NAME"),
		runDir:     "/run/signet",
		keyPath:    "/var/lib/signet/wireguard.key",
		pinPath:    "/sys/fs/bpf/signet",
		conflists:  "/etc/cni/net.d",
	}
}

func (o *options) register(flags *pflag.FlagSet) {
	flags.StringVar(&o.configPath, "config", o.configPath, "the cluster's configuration file")
	flags.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "kubeconfig file; empty: the pod's service account")
	flags.StringVar(&o.nodeName, "node-name", o.nodeName, "this node's name in the API (default $NODE_NAME)")
	flags.StringVar(&o.runDir, "run-dir", o.runDir, "sockets, endpoints and addresses; must not survive a boot")
	flags.StringVar(&o.keyPath, "key", o.keyPath, "this node's WireGuard key; made if absent")
	flags.StringVar(&o.pinPath, "bpf-dir", o.pinPath, "pinned maps and programs, on a BPF file system")
	flags.StringVar(&o.conflists, "cni-conf-dir", o.conflists, "where the container runtime reads CNI configuration")
	flags.StringVar(&o.units, "systemd-dir", o.units, "where systemd reads its units on the host, for the guard of the next boot; empty: nowhere")
}

// load reads and checks everything before anything is touched.
func (o *options) load() (config, error) {
	if o.nodeName == "" {
		return config{}, errors.New("no node name: set --node-name or NODE_NAME")
	}
	parsed, settings, err := loadFile(o)
	if settings == nil {
		return config{}, err
	}
	return config{options: *o, fixed: parsed.fixed, settings: settings}, nil
}

func parseFile(raw []byte) (parsedFile, error) {
	var f file
	if err := yaml.UnmarshalStrict(raw, &f); err != nil {
		return parsedFile{}, err
	}
	return f.parse()
}

func (f file) parse() (parsedFile, error) {
	var p parsedFile
	var errs [7]error
	p.cluster, errs[0] = overlay.ParseClusterID(f.ClusterID)
	p.clusterCIDR, errs[1] = f.ClusterCIDR.parse("clusterCIDR", "10.244.0.0/16,fd10:244::/48")
	p.serviceCIDR, errs[2] = f.ServiceCIDR.parse("serviceCIDR", "10.96.0.0/16,fd10:96::/112")
	if err := p.level.UnmarshalText([]byte(f.LogLevel)); err != nil {
		errs[3] = fmt.Errorf("logLevel %q: want debug, info, warn or error", f.LogLevel)
	}
	p.live, errs[4] = f.parseLive()
	p.metrics, errs[5] = f.MetricsAddress, checkListen(f.MetricsAddress)
	p.pods, errs[6] = parsePodDevice(f.PodDevice)
	p.port = f.WireguardPort
	if p.port == 0 || p.port == math.MaxUint16 {
		return p, errors.New("wireguardPort: want a UDP port from 1 to 65534; the next one is used as well")
	}
	if err := errors.Join(errs[:]...); err != nil {
		return p, err
	}
	if p.clusterCIDR.Overlaps(p.serviceCIDR) {
		return p, fmt.Errorf("clusterCIDR %s and serviceCIDR %s overlap", f.ClusterCIDR, f.ServiceCIDR)
	}
	if tunnel := p.cluster.Range(); p.clusterCIDR.V6.Overlaps(tunnel) || p.serviceCIDR.V6.Overlaps(tunnel) {
		return p, fmt.Errorf("clusterCIDR or serviceCIDR overlaps %s, which is the tunnel's by its clusterID", tunnel)
	}
	return p, nil
}

func (f file) parseLive() (live, error) {
	l := live{
		ignore: identity.DefaultIgnore(), audit: f.AuditMode,
		grace: defaultGrace, perNamespace: defaultPerNamespace,
	}
	var errs [6]error
	l.keyRotation, errs[4] = parseRotation(f.KeyRotation)
	if f.MTU != 0 {
		l.mtu, errs[5] = kube.ParseMTU(strconv.Itoa(f.MTU))
	}
	if f.IgnoreLabels != nil {
		l.ignore, errs[0] = identity.NewIgnore(f.IgnoreLabels)
	}
	if f.Attestation != "" {
		l.attestation, errs[1] = datapath.ParseAttestation(f.Attestation)
	}
	if f.IdentityGrace != "" {
		l.grace, errs[2] = parseGrace(f.IdentityGrace)
	}
	if f.IdentitiesPerNamespace != nil {
		l.perNamespace = *f.IdentitiesPerNamespace
	}
	if l.perNamespace < 0 {
		errs[3] = fmt.Errorf("identitiesPerNamespace %d: want 0 or more", l.perNamespace)
	}
	return l, errors.Join(errs[:]...)
}

func parseGrace(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < minGrace || d > maxGrace {
		return d, fmt.Errorf("identityGrace %q: want a duration from %v to %v, such as 15m", text, minGrace, maxGrace)
	}
	return d, nil
}

func parseRotation(text string) (time.Duration, error) {
	if text == "" || text == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < minRotation {
		return d, fmt.Errorf("keyRotation %q: want 0, or a duration of %v or more, such as 720h", text, minRotation)
	}
	return d, nil
}

// checkListen accepts an IP address, or none, and a TCP port.
func checkListen(address string) error {
	if address == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if _, ipErr := netip.ParseAddr(host); host != "" {
		err = errors.Join(err, ipErr)
	}
	number, portErr := strconv.ParseUint(port, 10, 16)
	if errors.Join(err, portErr) != nil || number == 0 {
		return fmt.Errorf("metricsAddress %q: want an address of the node and a port, such as 127.0.0.1:9470 or :9470", address)
	}
	return nil
}
