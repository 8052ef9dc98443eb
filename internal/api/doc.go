// Package api is what the agent tells people about its node, over a unix
// socket on the node, as HTTP with JSON:
//
//	GET /v1/status      Status
//	GET /v1/endpoints   []Endpoint
//	GET /v1/identities  []Identity
//	GET /v1/policies    []PolicyStatus
//	GET /v1/services    []Service
//	GET /v1/why         Why; see WhyQuery for the parameters
//	GET /v1/encryption  Encryption
//	POST /v1/rotate     begins to change the node's keys; Encryption tells how it fares
//	GET /v1/flows       Records, one a line; see Query for the parameters
//
// Any other status than 200 carries an Error. Nothing else can be changed
// through it. Who may is whoever can open the socket: root on the node, and who
// may exec in the agent's pod. Both sides pass over fields that they do not know, so that a CLI and an
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
	encryptionPath = "/v1/encryption"
	rotatePath     = "/v1/rotate"
	flowsPath      = "/v1/flows"
)

// Error is the answer to a request that failed.
type Error struct {
	Message string `json:"error"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }
