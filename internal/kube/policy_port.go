package kube

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/signet-cni/signet/enforce/policy"
)

func parsePort(in *netv1.NetworkPolicyPort) (policy.Port, error) {
	protocol, err := parseProtocolOrTCP(in.Protocol)
	if err != nil {
		return policy.Port{}, err
	}
	if in.Port == nil {
		if in.EndPort != nil {
			return policy.Port{}, errors.New("endPort without a port")
		}
		return policy.Port{Protocol: protocol}, nil
	}
	if in.Port.Type == intstr.String {
		return parsePortName(protocol, in)
	}
	first, err := parsePortNumber(in.Port.IntVal)
	if err != nil {
		return policy.Port{}, err
	}
	last := first
	if in.EndPort != nil {
		if last, err = parsePortNumber(*in.EndPort); err != nil {
			return policy.Port{}, fmt.Errorf("endPort: %w", err)
		}
		if last < first {
			return policy.Port{}, fmt.Errorf("endPort %d is before port %d", last, first)
		}
	}
	return policy.Port{Protocol: protocol, First: first, Last: last}, nil
}

func parsePortName(protocol policy.Protocol, in *netv1.NetworkPolicyPort) (policy.Port, error) {
	if in.EndPort != nil {
		return policy.Port{}, fmt.Errorf("endPort with the named port %q", in.Port.StrVal)
	}
	if reasons := validation.IsValidPortName(in.Port.StrVal); len(reasons) > 0 {
		return policy.Port{}, fmt.Errorf("port name %q: %s", in.Port.StrVal, reasons[0])
	}
	return policy.Port{Protocol: protocol, Name: in.Port.StrVal}, nil
}

func parsePortNumber(number int32) (uint16, error) {
	if number < 1 || number > 65535 {
		return 0, fmt.Errorf("port %d: want 1 to 65535", number)
	}
	return uint16(number), nil
}

// parseProtocolOrTCP applies the API's default for an absent protocol.
func parseProtocolOrTCP(in *corev1.Protocol) (policy.Protocol, error) {
	if in == nil {
		return policy.TCP, nil
	}
	return parseProtocol(*in)
}

func parseProtocol(in corev1.Protocol) (policy.Protocol, error) {
	switch in {
	case corev1.ProtocolTCP:
		return policy.TCP, nil
	case corev1.ProtocolUDP:
		return policy.UDP, nil
	case corev1.ProtocolSCTP:
		return policy.SCTP, nil
	default:
		return policy.AnyProtocol, fmt.Errorf("unknown protocol %q", in)
	}
}
