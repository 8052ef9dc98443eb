package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/signet-cni/signet/internal/unixsocket"
)

// callTime bounds a request that is not a stream.
const callTime = 10 * time.Second

// ErrAbsent says that nobody answers on the agent's socket.
var ErrAbsent = errors.New("the signet agent does not answer")

// ErrSlow says that the agent took a request and did not answer it in time.
var ErrSlow = fmt.Errorf("the signet agent has not answered within %v: is it stopped, or the node overloaded? see its log", callTime)

// Client asks the agent of this node. It is safe for concurrent use.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client of the agent behind a socket. It does not connect
// yet.
func NewClient(socket string) *Client {
	transport := unixsocket.Transport(socket, ErrAbsent)
	return &Client{socket: socket, http: &http.Client{Transport: transport}}
}

// Status asks how the node fares.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, statusPath)
}

// Endpoints asks for the node's pods.
func (c *Client) Endpoints(ctx context.Context) ([]Endpoint, error) {
	return ask[[]Endpoint](ctx, c, endpointsPath)
}

// Identities asks for the identities that the node knows.
func (c *Client) Identities(ctx context.Context) ([]Identity, error) {
	return ask[[]Identity](ctx, c, identitiesPath)
}

// Policies asks for what the node enforces.
func (c *Client) Policies(ctx context.Context) ([]PolicyStatus, error) {
	return ask[[]PolicyStatus](ctx, c, policiesPath)
}

// Services asks for the Services that the node translates.
func (c *Client) Services(ctx context.Context) ([]Service, error) {
	return ask[[]Service](ctx, c, servicesPath)
}

// Why asks for the node's verdict on a packet.
func (c *Client) Why(ctx context.Context, q WhyQuery) (Why, error) {
	return ask[Why](ctx, c, whyPath+"?"+q.Values().Encode())
}

// Encryption asks for the tunnel's sessions.
func (c *Client) Encryption(ctx context.Context) (Encryption, error) {
	return ask[Encryption](ctx, c, encryptionPath)
}

// Rotate begins to change the node's keys. Encryption tells how that fares.
func (c *Client) Rotate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	body, err := c.do(ctx, http.MethodPost, rotatePath)
	if err != nil {
		return err
	}
	return body.Close()
}

// Flows calls each for every record until there are no more, or, if the query
// follows, until ctx or the agent ends. An error of each ends it at once.
func (c *Client) Flows(ctx context.Context, q Query, each func(Record) error) error {
	body, err := c.open(ctx, flowsPath+"?"+q.Values().Encode())
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // it has been read
	return ReadRecords(body, each)
}

// ReadRecords calls each for every line of a stream of records. It returns the
// reader's errors as they are.
func ReadRecords(r io.Reader, each func(Record) error) error {
	lines := json.NewDecoder(r)
	for {
		var record Record
		err := lines.Decode(&record)
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &syntax), errors.As(err, &kind), errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("read flows: %w", err)
		case err != nil:
			return err
		}
		if err := each(record); err != nil {
			return err
		}
	}
}

func ask[T any](ctx context.Context, c *Client, path string) (answer T, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, callTime, ErrSlow)
	defer cancel()
	body, err := c.open(ctx, path)
	if err == nil {
		defer func() { _ = body.Close() }() // it has been read
		if err = json.NewDecoder(body).Decode(&answer); err != nil {
			err = fmt.Errorf("understand the signet agent: %w", err)
		}
	}
	if err != nil && errors.Is(context.Cause(ctx), ErrSlow) {
		return answer, ErrSlow
	}
	return answer, err
}

// open makes a request. The caller closes what it returns.
func (c *Client) open(ctx context.Context, path string) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, path)
}

func (c *Client) do(ctx context.Context, method, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://signet"+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask the signet agent: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unwrapURL(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer func() { _ = resp.Body.Close() }() // it has been read
		return nil, refusal(resp)
	}
	return resp.Body, nil
}

// refusal returns the error that the agent answered with.
func refusal(resp *http.Response) error {
	answer := &Error{}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil || answer.Message == "" {
		return fmt.Errorf("the signet agent answered %s", resp.Status)
	}
	return fmt.Errorf("the signet agent refuses: %w", answer)
}

// unwrapURL removes the made-up URL from an error of net/http.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
