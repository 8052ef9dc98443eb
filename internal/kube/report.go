package kube

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/signet-cni/signet/internal/kube/api"
)

const (
	// repeatAfter is how long a problem stays told: as long as the API server
	// keeps an Event by default.
	repeatAfter = time.Hour
	// reportsPerRound bounds the Events of one call of Report.
	reportsPerRound = 20
	maxMessage      = 1024 // bytes of an Event's message, the API's limit
	maxEventPrefix  = 200  // bytes of the object's name in an Event's name
	eventReason     = "NotUsed"
	eventController = "signet-cni.io/agent"
)

// Reporter tells problems: each once in the log, and once as an Event on the
// object, until it is gone or an hour has passed. An Event's name follows from
// the problem, so that all nodes that meet the same one make one Event.
type Reporter struct {
	client *Client
	now    func() time.Time

	mu   sync.Mutex
	told map[Problem]time.Time
}

// NewReporter makes a reporter that has told nothing.
func NewReporter(client *Client) *Reporter {
	return &Reporter{client: client, now: time.Now, told: map[Problem]time.Time{}}
}

// Report tells those of the problems that are new. It is given all problems
// there are, and forgets those that are not among them. An error means that
// some could not be told, or were more than one round takes: call it again.
func (r *Reporter) Report(ctx context.Context, problems []Problem) error {
	fresh := r.fresh(problems)
	var errs []error
	if len(fresh) > reportsPerRound {
		errs = append(errs, fmt.Errorf("kube: %d problems are left to report", len(fresh)-reportsPerRound))
		fresh = fresh[:reportsPerRound]
	}
	for _, problem := range fresh {
		if err := r.send(ctx, problem); err != nil {
			errs = append(errs, err)
			break
		}
		r.client.log.Warn("object not used as written", "problem", problem.String())
		r.remember(problem)
	}
	return errors.Join(errs...)
}

// fresh gives the problems that are to be told, and forgets what is gone.
func (r *Reporter) fresh(problems []Problem) []Problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	kept := make(map[Problem]time.Time, len(problems))
	var fresh []Problem
	for _, problem := range problems {
		if at, ok := r.told[problem]; ok && now.Sub(at) < repeatAfter {
			kept[problem] = at
			continue
		}
		fresh = append(fresh, problem)
	}
	r.told = kept
	return fresh
}

func (r *Reporter) remember(problem Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told[problem] = r.now()
}

func (r *Reporter) send(ctx context.Context, problem Problem) error {
	event := r.event(problem)
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := r.client.core.CoreV1().Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{})
	switch {
	case err == nil, apierrors.IsAlreadyExists(err):
		return nil
	case apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil // the namespace is gone or going, and the object with it
	default:
		return fmt.Errorf("kube: report %s %s: %w", problem.Kind, problem.Name, err)
	}
}

func (r *Reporter) event(problem Problem) *corev1.Event {
	namespace := problem.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	at := metav1.NewTime(r.now())
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: eventName(problem)},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: apiVersions[problem.Kind],
			Kind:       problem.Kind,
			Namespace:  problem.Namespace,
			Name:       problem.Name,
			UID:        types.UID(problem.UID),
		},
		Reason:              eventReason,
		Message:             clip(problem.Message, maxMessage),
		Type:                corev1.EventTypeWarning,
		Source:              corev1.EventSource{Component: "signet", Host: r.client.node},
		FirstTimestamp:      at,
		LastTimestamp:       at,
		Count:               1,
		ReportingController: eventController,
		ReportingInstance:   r.client.node,
	}
}

// apiVersions of the kinds that problems are about.
var apiVersions = map[string]string{
	"Pod": "v1", "Node": "v1", "Service": "v1", "Namespace": "v1",
	"EndpointSlice":  "discovery.k8s.io/v1",
	"NetworkPolicy":  "networking.k8s.io/v1",
	api.TunnelKind:   api.GroupVersion.String(),
	api.IdentityKind: api.GroupVersion.String(),
}

func eventName(problem Problem) string {
	digest := sha256.Sum256([]byte(problem.UID + "\x00" + problem.String()))
	return fmt.Sprintf("%s.%x", strings.TrimRight(clip(problem.Name, maxEventPrefix), ".-"), digest[:8])
}

// clip cuts text to at most limit bytes of valid UTF-8.
func clip(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit]
	}
	return strings.ToValidUTF8(text, "")
}
