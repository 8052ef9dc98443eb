package device

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/overlay"
)

// routeProtocol marks the routes of the main table that are Signet's. Routes
// with another mark are never touched.
const routeProtocol = 0x51

// routeKey is what the kernel tells routes apart by.
type routeKey struct {
	destination netip.Prefix
	metric      uint32
}

func keyOf(r overlay.Route) routeKey { return routeKey{r.Destination, r.Metric} }

// refusing picks the unreachable routes.
func refusing(routes []overlay.Route) []overlay.Route {
	return slices.DeleteFunc(slices.Clone(routes), func(r overlay.Route) bool { return !r.Unreachable })
}

// addRoutes adds what is missing and corrects what differs. A route of the
// same destination and metric that is not Signet's is an error: it leads
// elsewhere, and whose it is only the operator knows.
func addRoutes(link netlink.Link, want []overlay.Route) (changed []string, err error) {
	have, err := ownRoutes()
	if err != nil {
		return nil, err
	}
	for _, r := range want {
		route := kernelRoute(link, r)
		set := netlink.RouteAdd
		if old, exists := have[keyOf(r)]; exists {
			if sameRoute(old, *route) {
				continue
			}
			set = netlink.RouteReplace
		}
		err := set(route)
		if errors.Is(err, unix.EEXIST) {
			return changed, fmt.Errorf("a route to %s that is not Signet's exists: remove it: %w", r.Destination, err)
		}
		if err != nil {
			return changed, fmt.Errorf("add %s: %w", describe(r), err)
		}
		changed = append(changed, describe(r))
	}
	return changed, nil
}

// dropRoutes deletes Signet's routes that are not wanted any more.
func dropRoutes(want []overlay.Route) (changed []string, err error) {
	have, err := ownRoutes()
	if err != nil {
		return nil, err
	}
	for _, r := range want {
		delete(have, keyOf(r))
	}
	for key, route := range have {
		if err := netlink.RouteDel(&route); err != nil && !errors.Is(err, unix.ESRCH) {
			return changed, fmt.Errorf("delete the route to %s: %w", key.destination, err)
		}
		changed = append(changed, fmt.Sprintf("no route to %s metric %d", key.destination, key.metric))
	}
	slices.Sort(changed)
	return changed, nil
}

// ownRoutes lists the routes of both families that carry Signet's mark.
func ownRoutes() (map[routeKey]netlink.Route, error) {
	filter := &netlink.Route{Protocol: routeProtocol, Table: unix.RT_TABLE_MAIN}
	own := map[routeKey]netlink.Route{}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := retry(func() ([]netlink.Route, error) {
			return netlink.RouteListFiltered(family, filter, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range list {
			own[routeKey{fromIPNet(r.Dst), uint32(r.Priority)}] = r
		}
	}
	return own, nil
}

func kernelRoute(link netlink.Link, r overlay.Route) *netlink.Route {
	route := &netlink.Route{
		Dst: toIPNet(r.Destination), Priority: int(r.Metric), Protocol: routeProtocol, Table: unix.RT_TABLE_MAIN,
		Type: unix.RTN_UNREACHABLE, Scope: netlink.SCOPE_UNIVERSE,
	}
	if r.Unreachable {
		return route
	}
	route.Type = unix.RTN_UNICAST
	if r.Destination.Addr().Is4() { // IPv6 routes have no scope
		route.Scope = netlink.SCOPE_LINK
	}
	route.LinkIndex, route.MTU = link.Attrs().Index, r.MTU
	if r.Source.IsValid() {
		route.Src = r.Source.AsSlice()
	}
	return route
}

// sameRoute compares the parts that Signet sets. An unreachable route has no
// device, though the kernel names lo for one of IPv6.
func sameRoute(a, b netlink.Route) bool {
	refuses := a.Type == unix.RTN_UNREACHABLE
	return a.Type == b.Type && a.Scope == b.Scope && (refuses || a.LinkIndex == b.LinkIndex) &&
		a.MTU == b.MTU && a.Src.Equal(b.Src) && len(a.Gw) == 0 && len(a.MultiPath) == 0
}

func describe(r overlay.Route) string {
	if r.Unreachable {
		return fmt.Sprintf("unreachable route to %s metric %d", r.Destination, r.Metric)
	}
	return fmt.Sprintf("route to %s from %s mtu %d", r.Destination, r.Source, r.MTU)
}
