package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Key names one interface of one container.
type Key struct {
	ContainerID string `json:"containerID"`
	IfName      string `json:"ifname"`
}

// HostIfPrefix begins the name of every host interface that Signet makes.
const HostIfPrefix = "sgn"

// is says whether text has at most so many bytes, which are letters, digits or
// of others, and begins with a letter or digit. (Regular expressions would be
// compiled at every start of the plugin.)
func is(text string, most int, others string) bool {
	if text == "" || len(text) > most || !alphanumeric(text[0]) {
		return false
	}
	for i := range len(text) {
		if !alphanumeric(text[i]) && strings.IndexByte(others, text[i]) < 0 {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// dnsLabel follows RFC 1123 section 2.1, in lower case.
func dnsLabel(text string) bool {
	return is(text, 63, "-") && alphanumeric(text[len(text)-1]) && text == strings.ToLower(text)
}

// Validate accepts what can safely stand in a path, in a sysctl name and in
// the address store. It is stricter than the CNI specification: an interface
// name begins with a letter or digit and is none that the kernel reserves.
func (k Key) Validate() error {
	if !is(k.ContainerID, 128, "_.-") {
		return fmt.Errorf("invalid container id %.140q", k.ContainerID)
	}
	if !is(k.IfName, 15, "_.-") {
		return fmt.Errorf("invalid interface name %.40q", k.IfName)
	}
	switch k.IfName {
	case "lo", "all", "default":
		return fmt.Errorf("interface name %q is reserved by the kernel", k.IfName)
	}
	return nil
}

// ValidatePod checks the names of a pod: a DNS label for the namespace, a DNS
// subdomain for the pod; uid may be empty.
func ValidatePod(namespace, pod, uid string) error {
	if !dnsLabel(namespace) {
		return fmt.Errorf("invalid pod namespace %.80q", namespace)
	}
	if pod == "" || len(pod) > 253 {
		return errors.New("pod name is empty or longer than 253 bytes")
	}
	for label := range strings.SplitSeq(pod, ".") {
		if !dnsLabel(label) {
			return fmt.Errorf("invalid pod name %q", pod)
		}
	}
	if uid != "" && !is("0"+uid, 65, "-") {
		return fmt.Errorf("invalid pod uid %.80q", uid)
	}
	return nil
}

// HostIfName returns the name of the host interface: HostIfPrefix and 12 hex
// digits, the same for the same key, so that a DEL finds the interface
// without any state.
func (k Key) HostIfName() string {
	sum := k.digest("name")
	return HostIfPrefix + hex.EncodeToString(sum[:6])
}

// HostMAC returns the host interface's address, locally administered.
func (k Key) HostMAC() net.HardwareAddr { return k.mac("host") }

// PodMAC returns the pod interface's address, locally administered.
func (k Key) PodMAC() net.HardwareAddr { return k.mac("pod") }

func (k Key) mac(purpose string) net.HardwareAddr {
	sum := k.digest(purpose)
	mac := net.HardwareAddr(sum[:6])
	mac[0] = mac[0]&^1 | 2 // unicast, locally administered
	return mac
}

// digest separates its inputs by NUL, which none of them contains.
func (k Key) digest(purpose string) [sha256.Size]byte {
	return sha256.Sum256([]byte(purpose + "\x00" + k.ContainerID + "\x00" + k.IfName))
}
