package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/cni"
	"github.com/signet-cni/signet/enforce/datapath"
)

// A pod that is deleted while the hooks are looked at fails nobody, and keeps
// nobody from being guarded; any other error is told, with the pod's name.
func TestAttachPods(t *testing.T) {
	var tried []int
	attach := func(failing map[int]error) func(datapath.PodDevice) error {
		tried = nil
		return func(pod datapath.PodDevice) error {
			tried = append(tried, pod.IfIndex)
			return failing[pod.IfIndex]
		}
	}
	pods := []cni.Endpoint{
		{Namespace: "shop", Pod: "leaving", HostIfIndex: 4},
		{Namespace: "shop", Pod: "db", HostIfIndex: 5},
		{Namespace: "shop", Pod: "web", HostIfIndex: 6},
	}
	gone := fmt.Errorf("attach from_pod to interface 4: %w", unix.ENODEV)
	if err := attachPods(pods, attach(map[int]error{4: gone})); err != nil {
		t.Errorf("a device that has gone: %v", err)
	}
	if want := []int{4, 5, 6}; !slices.Equal(tried, want) {
		t.Errorf("attached to %v, want %v", tried, want)
	}
	err := attachPods(pods, attach(map[int]error{4: gone, 5: unix.EPERM}))
	if !errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) || !strings.Contains(fmt.Sprint(err), "shop/db") {
		t.Errorf("one that cannot be guarded: %v", err)
	}
	if want := []int{4, 5, 6}; !slices.Equal(tried, want) {
		t.Errorf("attached to %v, want %v", tried, want)
	}
}
