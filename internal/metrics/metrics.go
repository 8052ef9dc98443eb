package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts, and answers Prometheus. It is safe for concurrent use.
type Metrics struct {
	registry    *prometheus.Registry
	verdicts    *prometheus.CounterVec
	policies    *prometheus.CounterVec
	compile     prometheus.Histogram
	propagation prometheus.Histogram
	cni         *prometheus.HistogramVec
	cniErrors   *prometheus.CounterVec

	namespaces  *bound
	policyNames *bound
}

// New makes the metrics of a node. The operations of the CNI plugin are told
// from the start: an error that comes out of nowhere is no increase.
func New(source Source, operations ...string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), namespaces: newBound(maxNamespaces), policyNames: newBound(maxPolicies),
		verdicts: counter("verdicts_total",
			"Verdicts told as flows: first packets, re-judged flows, and drops up to the rate limit.",
			"direction", "verdict", "reason", "namespace"),
		policies: counter("policy_verdicts_total",
			"Verdicts in which a policy took part: it admitted the packet, or it isolated the pod and nothing admitted it.",
			"namespace", "policy", "direction", "verdict"),
		compile: prometheus.NewHistogram(histogram("policy_compile_seconds",
			"Time to take a change into the compiled policy, or to compile all policies over all identities.", 0.0001, 14)),
		propagation: prometheus.NewHistogram(histogram("policy_propagation_seconds",
			"Time from the first notice of a change until it is in force in the kernel.", 0.001, 14)),
		cni: prometheus.NewHistogramVec(histogram("cni_request_seconds",
			"Time to answer a request of the CNI plugin, failures included.", 0.001, 15), []string{"operation"}),
		cniErrors: counter("cni_errors_total", "Requests of the CNI plugin that failed.", "operation"),
	}
	m.registry.MustRegister(&collector{source: source, now: time.Now}, m.verdicts, m.policies, m.compile,
		m.propagation, m.cni, m.cniErrors, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, operation := range operations {
		m.cni.WithLabelValues(operation)
		m.cniErrors.WithLabelValues(operation)
	}
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_" + name, Help: help}, labels)
}

// histogram has so many buckets, each twice the one before.
func histogram(name, help string, first float64, buckets int) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: "signet_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(first, 2, buckets),
	}
}

// Handler answers Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Verdict is one verdict as it is counted.
type Verdict struct {
	Direction string // "ingress" or "egress", as the pod of this node sees it
	Verdict   string
	Reason    string // "" unless dropped
	Namespace string // of that pod; "" if it has none
	Policies  []Policy
}

// Policy is a policy's part in a verdict.
type Policy struct {
	Namespace, Name string
	Direction       string // in which it admitted or isolated
	Verdict         string // "admitted" or "denied"
}

// Count counts a verdict.
func (m *Metrics) Count(v Verdict) {
	if v.Namespace != "" && !m.namespaces.admits(v.Namespace) {
		v.Namespace = other
	}
	m.verdicts.WithLabelValues(v.Direction, v.Verdict, v.Reason, v.Namespace).Inc()
	for _, p := range v.Policies {
		if !m.policyNames.admits(p.Namespace + "/" + p.Name) {
			p.Namespace, p.Name = other, other
		}
		m.policies.WithLabelValues(p.Namespace, p.Name, p.Direction, p.Verdict).Inc()
	}
}

// Forget drops the counts of a policy that is gone.
func (m *Metrics) Forget(namespace, name string) {
	m.policyNames.forget(namespace + "/" + name)
	m.policies.DeletePartialMatch(prometheus.Labels{"namespace": namespace, "policy": name})
}

// Compiled notes how long a compilation took.
func (m *Metrics) Compiled(took time.Duration) { m.compile.Observe(took.Seconds()) }

// Propagated notes how long a change took to be in force.
func (m *Metrics) Propagated(took time.Duration) { m.propagation.Observe(took.Seconds()) }

// CNI notes a request of the plugin.
func (m *Metrics) CNI(operation string, took time.Duration, failed bool) {
	m.cni.WithLabelValues(operation).Observe(took.Seconds())
	if failed {
		m.cniErrors.WithLabelValues(operation).Inc()
	}
}
