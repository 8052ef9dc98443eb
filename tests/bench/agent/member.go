package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/signet-cni/signet/tests/control/worker"
)

// joined is the first line that a member of a fleet writes.
type joined struct {
	Agent int    // process ID of its agent
	Maps  string // pattern of the directory of pinned maps, in the member's mount namespace
}

// sight is every further one: what its bare watch saw of the policy that is
// measured, and when.
type sight struct {
	Port int32 // 0: it is gone
	At   time.Time
}

// beMember is a node in network and mount namespaces of its own: an agent, and
// beside it nothing but an informer over policies. It ends with its input.
func beMember(ctx context.Context, o options, n int) int {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1)) // nothing comes but the end
		stop()
	}()
	if err := runMember(ctx, o, n); err != nil {
		fmt.Fprintf(os.Stderr, "node %d: %v\n", n, err)
		return 1
	}
	return 0
}

func runMember(ctx context.Context, o options, n int) (err error) {
	if err := reachServer(n); err != nil {
		return err
	}
	core, err := connect()
	if err != nil {
		return err
	}
	node, err := newWorker(ctx, core, o, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	agent, _, err := node.StartAgent(ctx)
	if err != nil {
		return err
	}
	defer agent.Stop()
	return watchBare(ctx, core, node, agent)
}

// watchBare tells what client-go's informer sees, as soon as it does.
func watchBare(ctx context.Context, core kubernetes.Interface, node *worker.Node, agent *worker.Process) error {
	out := json.NewEncoder(os.Stdout)
	tell := func(object any, gone bool) {
		s := sight{At: time.Now()}
		if missed, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = missed.Obj
		}
		p, ok := object.(*netv1.NetworkPolicy)
		if !ok || p.Name != probed {
			return
		}
		if !gone {
			s.Port = portOf(p)
		}
		_ = out.Encode(s) // who reads it has ended otherwise
	}
	factory := informers.NewSharedInformerFactory(core, 0)
	informer := factory.Networking().V1().NetworkPolicies().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { tell(object, false) },
		UpdateFunc: func(_, object any) { tell(object, false) },
		DeleteFunc: func(object any) { tell(object, true) },
	}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return ctx.Err()
	}
	if err := out.Encode(joined{Agent: agent.ID(), Maps: node.Path("bpf/signet/maps-*")}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// uplink is the device towards the API server. The fleet makes it.
const uplink = "uplink"

// uplinkTime is how long the fleet may take to make it.
const uplinkTime = 10 * time.Second

// uplinkAddr is an address on the link between the API server and a node.
func uplinkAddr(n, end int) string { return fmt.Sprintf("198.51.100.%d/30", 128+4*n+end) }

// reachServer gives the node a way to the API server.
func reachServer(n int) error {
	var link netlink.Link
	for deadline := time.Now().Add(uplinkTime); link == nil; time.Sleep(10 * time.Millisecond) {
		var err error
		if link, err = netlink.LinkByName(uplink); err != nil && time.Now().After(deadline) {
			return fmt.Errorf("device %s: %w", uplink, err)
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("SIGNET_TEST_KUBECONFIG"))
	if err != nil {
		return err
	}
	server, err := url.Parse(config.Host)
	if err != nil {
		return err
	}
	own, ownErr := netlink.ParseAddr(uplinkAddr(n, 2))
	gateway, gatewayErr := netlink.ParseAddr(uplinkAddr(n, 1))
	to, toErr := netlink.ParseIPNet(server.Hostname() + "/32")
	if err := errors.Join(ownErr, gatewayErr, toErr); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return errors.Join(netlink.LinkSetUp(lo), netlink.LinkSetUp(link), netlink.AddrAdd(link, own),
		netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: to, Gw: gateway.IP}))
}
