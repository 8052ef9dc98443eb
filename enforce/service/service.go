// Package service holds Kubernetes Services as the datapath translates them:
// frontends that pods connect to, and the backends behind them.
package service

import (
	"net/netip"
	"time"

	"github.com/signet-cni/signet/enforce/policy"
)

// Frontend is one address and port that a Service answers at.
type Frontend struct {
	// Addr is the ClusterIP; 0.0.0.0 or :: stands for every address of that
	// family of every node (a NodePort).
	Addr     netip.Addr
	Port     uint16
	Protocol policy.Protocol // TCP, UDP or SCTP
}

// Service is one port of one Service.
type Service struct {
	Namespace, Name string
	Port            string // the port's name, "" if it has none
	Frontends       []Frontend
	// Backends are the ready endpoints, sorted, without duplicates. A frontend
	// leads to those of its own family; with none a connection is refused.
	Backends []netip.AddrPort
	// Affinity is how long a client stays with its backend; 0 means none.
	Affinity time.Duration
}
