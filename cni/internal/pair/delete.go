package pair

import (
	"fmt"
	"time"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// maxDeletions is how many requests to delete a link may be in the kernel
	// at once, each with a thread and a socket. One more waits.
	maxDeletions = 64
	// firstLook and lastLook bound the time between two looks for a link that
	// is being deleted. A look waits for the rtnl lock behind the deletion, so
	// the first one mostly finds the link gone.
	firstLook = 250 * time.Microsecond
	lastLook  = 4 * time.Millisecond
)

// deletions holds one element for each request that is in the kernel.
var deletions = make(chan struct{}, maxDeletions)

// Delete removes the pair by the name of its host end. That there is none is
// no error. When it returns nil, neither end exists for anybody, nor do their
// routes. The kernel takes 10 to 20 ms more to free their memory, for which
// nobody need wait.
func Delete(hostName string) error {
	link, err := netlinksafe.LinkByName(hostName)
	if err == nil {
		err = remove(link)
	}
	if err != nil && !isGone(err) {
		return fmt.Errorf("remove host interface %s: %w", hostName, err)
	}
	return nil
}

// remove asks the kernel, which answers when the link's memory is free, and
// meanwhile looks whether the link is gone. The handle is made here because a
// new goroutine may be in another network namespace than the calling thread.
func remove(link netlink.Link) error {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	deletions <- struct{}{}
	answer := make(chan error, 1)
	go func() {
		answer <- handle.LinkDel(link)
		handle.Close()
		<-deletions
	}()
	return answerOrGone(answer, func() bool {
		_, err := netlink.LinkByIndex(link.Attrs().Index)
		return isGone(err)
	})
}

// answerOrGone returns what the kernel answers, or nil once gone says so.
func answerOrGone(answer <-chan error, gone func() bool) error {
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		select {
		case err := <-answer:
			return err
		case <-time.After(wait):
			if gone() {
				return nil
			}
		}
	}
}
