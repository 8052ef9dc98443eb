package kube

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

func refusal() error {
	return &url.Error{Op: "Get", URL: "https://10.96.0.1", Err: &net.OpError{
		Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}}
}

// TestServerBack: a watch goes on soon after the API server is back, however
// long that was away, and meanwhile says what is wrong.
func TestServerBack(t *testing.T) {
	for _, away := range []time.Duration{time.Second, time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			back := time.Now().Add(away)
			var f feed
			told := 0
			from := f.observe(&cache.ListWatch{
				WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) {
					if time.Now().Before(back) {
						return nil, refusal()
					}
					if away > time.Second && (f.last == nil || f.failures < 2) {
						t.Errorf("after %s: %d failures, the last is %v", away, f.failures, f.last)
					}
					return watch.NewFake(), nil
				},
			}, func(Kind, error) { told++ })
			if _, err := cache.ToListerWatcherWithContext(from).WatchWithContext(t.Context(), metav1.ListOptions{}); err != nil {
				t.Fatal(err)
			}
			if late := time.Since(back); late > 2*reachAgain || f.last != nil || told != 1 {
				t.Errorf("away for %s, found after another %s, error %v, told %d times", away, late, f.last, told)
			}
		})
	}
}

func TestReachGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	denied := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no"))
	for _, test := range []struct {
		name   string
		answer error
		tries  int
	}{
		{"the server's answer", denied, 1},
		{"an object that cannot be read", errors.New("decode"), 1},
		{"the context ends", refusal(), 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			_, err := reach(ctx, func() (runtime.Object, error) {
				if tries++; tries == 2 {
					cancel()
				}
				return nil, test.answer
			}, func(int, error) {})
			if !errors.Is(err, test.answer) || tries != test.tries {
				t.Errorf("%s: %d tries, %v", test.name, tries, err)
			}
		})
	}
}
