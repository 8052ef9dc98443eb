package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/signet-cni/signet/cni/internal/wire"
	"github.com/signet-cni/signet/internal/unixsocket"
)

const (
	// addPatience and delPatience bound the wait for an agent that is not
	// there. An agent that restarts is back within them; DEL can do without.
	addPatience = 10 * time.Second
	delPatience = 2 * time.Second
	// callTime bounds one request; the agent needs at most 40 s for one.
	callTime   = 50 * time.Second
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
)

// errAbsent says that nobody answers on the agent's socket.
var errAbsent = errors.New("the signet agent is absent")

// client speaks to the agent. Every call has a connection of its own.
type client struct{ socket string }

func dialer(socket string) *client { return &client{socket: socket} }

func (c *client) allocate(ctx context.Context, key wire.Key, req wire.AllocateRequest) (wire.Lease, error) {
	req.Header = wire.NewHeader()
	return valid(call[wire.Lease](ctx, c, addPatience, http.MethodPost, endpointPath(key), req))
}

func (c *client) attach(ctx context.Context, key wire.Key, req wire.AttachRequest) error {
	req.Header = wire.NewHeader()
	_, err := call[wire.Empty](ctx, c, addPatience, http.MethodPut, endpointPath(key), req)
	return err
}

func (c *client) check(ctx context.Context, key wire.Key) (wire.Lease, error) {
	return valid(call[wire.Lease](ctx, c, addPatience, http.MethodGet, endpointPath(key), nil))
}

func (c *client) remove(ctx context.Context, key wire.Key) error {
	_, err := call[wire.Empty](ctx, c, delPatience, http.MethodDelete, endpointPath(key), nil)
	return err
}

func (c *client) collect(ctx context.Context, valid []wire.Key) error {
	req := wire.GCRequest{Header: wire.NewHeader(), Valid: valid}
	_, err := call[wire.Empty](ctx, c, delPatience, http.MethodPost, "/v1/gc", req)
	return err
}

func (c *client) status(ctx context.Context) error {
	_, err := call[wire.Empty](ctx, c, 0, http.MethodGet, "/v1/status", nil)
	return err
}

func valid(lease wire.Lease, err error) (wire.Lease, error) {
	if err != nil {
		return lease, err
	}
	return lease, lease.Validate()
}

func endpointPath(key wire.Key) string {
	return "/v1/endpoints/" + url.PathEscape(key.ContainerID) + "/" + url.PathEscape(key.IfName)
}

// call makes a request and decodes the answer. While nobody answers on the
// socket, and only then, it tries again until patience is used up; the error
// is errAbsent afterwards. What the agent refuses is a CNI error.
func call[T wire.Message](ctx context.Context, c *client, patience time.Duration, method, path string, body wire.Message) (T, error) {
	deadline := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		answer, err := once[T](ctx, c, method, path, body)
		if !errors.Is(err, errAbsent) || time.Now().Add(pause).After(deadline) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func once[T wire.Message](ctx context.Context, c *client, method, path string, body wire.Message) (answer T, err error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return answer, fmt.Errorf("ask the signet agent: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://signet"+path, &content)
	if err != nil {
		return answer, fmt.Errorf("ask the signet agent: %w", err)
	}
	resp, err := unixsocket.Once(req, c.socket, errAbsent)
	if err != nil {
		return answer, fmt.Errorf("ask the signet agent at %s: %w", c.socket, err)
	}
	defer func() { _ = resp.Body.Close() }() // it has been read
	if resp.StatusCode != http.StatusOK {
		return answer, refusal(resp)
	}
	answer, err = wire.Decode[T](resp.Body)
	if err != nil {
		return answer, fmt.Errorf("understand the signet agent: %w", err)
	}
	return answer, nil
}

// refusal returns the error that the agent answered with.
func refusal(resp *http.Response) error {
	e, err := wire.Decode[wire.Error](resp.Body)
	if err != nil {
		return fmt.Errorf("the signet agent answered %s: %w", resp.Status, err)
	}
	return types.NewError(e.Code, e.Message, "")
}
