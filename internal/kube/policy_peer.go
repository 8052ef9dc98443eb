package kube

import (
	"errors"
	"fmt"
	"net/netip"

	netv1 "k8s.io/api/networking/v1"

	"github.com/signet-cni/signet/enforce/policy"
)

func parsePeer(in *netv1.NetworkPolicyPeer) (policy.Peer, error) {
	if in.IPBlock != nil {
		if in.PodSelector != nil || in.NamespaceSelector != nil {
			return policy.Peer{}, errors.New("ipBlock together with a selector")
		}
		block, err := parseBlock(in.IPBlock)
		if err != nil {
			return policy.Peer{}, fmt.Errorf("ipBlock: %w", err)
		}
		return policy.Peer{Block: block}, nil
	}
	if in.PodSelector == nil && in.NamespaceSelector == nil {
		return policy.Peer{}, errors.New("neither selectors nor an ipBlock")
	}
	namespaces, err := optionalSelector(in.NamespaceSelector)
	if err != nil {
		return policy.Peer{}, fmt.Errorf("namespaceSelector: %w", err)
	}
	pods, err := optionalSelector(in.PodSelector)
	if err != nil {
		return policy.Peer{}, fmt.Errorf("podSelector: %w", err)
	}
	return policy.Peer{Namespaces: namespaces, Pods: pods}, nil
}

// parseBlock reads a prefix and its exceptions, each of which must lie inside
// it and be smaller. A forgotten exception would open more than was meant, so
// one that is bad takes the block with it.
func parseBlock(in *netv1.IPBlock) (policy.IPBlock, error) {
	cidr, err := parsePrefix(in.CIDR)
	if err != nil {
		return policy.IPBlock{}, err
	}
	block := policy.IPBlock{CIDR: cidr}
	for _, text := range in.Except {
		except, err := parsePrefix(text)
		if err != nil {
			return policy.IPBlock{}, fmt.Errorf("except: %w", err)
		}
		if except.Bits() <= cidr.Bits() || !cidr.Contains(except.Addr()) {
			return policy.IPBlock{}, fmt.Errorf("except %s is not a part of %s", except, cidr)
		}
		block.Except = append(block.Except, except)
	}
	return block, nil
}

// parsePrefix reads a CIDR and clears the bits behind the mask. It refuses
// IPv4 in IPv6 form, which names no address that a packet can have.
func parsePrefix(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("malformed CIDR %q", text)
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("CIDR %q is IPv4 in IPv6 form", text)
	}
	return prefix.Masked(), nil
}

// parseAddr reads an address that one host can have: no zone, no IPv4 in IPv6
// form, not unspecified, loopback, link-local or multicast.
func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("malformed address %q", text)
	}
	if addr.Zone() != "" || addr.Is4In6() || !addr.IsGlobalUnicast() {
		return netip.Addr{}, fmt.Errorf("address %q cannot be a host's", text)
	}
	return addr, nil
}
