// Package api is what the agent tells people about its node, over a unix
// socket on the node, as HTTP with JSON:
//
//	GET /v1/status      Status
//	GET /v1/endpoints   []Endpoint
//	GET /v1/identities  []Identity
//	GET /v1/policies    []PolicyStatus
//	GET /v1/services    []Service
//	GET /v1/why         Why; see WhyQuery for the parameters
//	GET /v1/flows       Records, one a line; see Query for the parameters
//
// Any other status than 200 carries an Error. Nothing can be changed through
// it. Both sides pass over fields that they do not know, so that a CLI and an
// agent of neighbouring releases understand each other.
package api

// SocketPath is where the agent's socket is.
const SocketPath = "/run/signet/agent.sock"

const (
	statusPath     = "/v1/status"
	endpointsPath  = "/v1/endpoints"
	identitiesPath = "/v1/identities"
	policiesPath   = "/v1/policies"
	servicesPath   = "/v1/services"
	whyPath        = "/v1/why"
	flowsPath      = "/v1/flows"
)

// Error is the answer to a request that failed.
type Error struct {
	Message string `json:"error"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }
