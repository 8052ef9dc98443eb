package kube

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// reachAgain to twice as long is between two tries to reach the API server. A
// reflector's own wait grows to a minute, and for as long a node would know
// nothing new although the server is back.
const reachAgain = 3 * time.Second

// reach makes a request until it reaches the API server, whatever that answers.
// failed is called for each try that does not.
func reach[T any](ctx context.Context, request func() (T, error), failed func(try int, err error)) (T, error) {
	for try := 0; ; try++ {
		answer, err := request()
		if err == nil || ctx.Err() != nil || !unreached(err) {
			return answer, err
		}
		failed(try, err)
		select {
		case <-ctx.Done():
			return answer, err
		case <-time.After(wait.Jitter(reachAgain, 1)):
		}
	}
}

// unreached says of a request's error whether it is that of a connection.
func unreached(err error) bool {
	var refused syscall.Errno
	var late net.Error
	return errors.As(err, &refused) || errors.As(err, &late) && late.Timeout()
}
