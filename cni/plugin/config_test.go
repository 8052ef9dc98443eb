package plugin

import (
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	const head = `{"cniVersion":"1.0.0","name":"signet","type":"signet"`
	tests := []struct {
		name, rest string
		socket     string
		limited    bool
	}{
		{"smallest", ``, DefaultAgentSocket, false},
		{"another socket", `,"agentSocket":"/run/x.sock"`, "/run/x.sock", false},
		{"what a runtime adds", `,"capabilities":{"bandwidth":true},"prevResult":{"ips":[]},"args":{"cni":{}},"cni.dev/attachments":[],"runtimeConfig":{}`, DefaultAgentSocket, false},
		{"no limit", `,"runtimeConfig":{"bandwidth":{"ingressRate":0,"ingressBurst":0,"egressRate":0,"egressBurst":0}}`, DefaultAgentSocket, false},
		{"ingress limit", `,"runtimeConfig":{"bandwidth":{"ingressRate":1,"ingressBurst":1}}`, DefaultAgentSocket, true},
		{"egress limit", `,"runtimeConfig":{"bandwidth":{"egressRate":1,"egressBurst":1}}`, DefaultAgentSocket, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conf, err := parseConfig([]byte(head + tt.rest + "}"))
			if err != nil || conf.AgentSocket != tt.socket || conf.RuntimeConfig.Bandwidth.limited() != tt.limited {
				t.Errorf("%+v, %v", conf, err)
			}
		})
	}
}

// Whatever the configuration, an accepted one names a socket that can exist.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"cniVersion":"1.0.0","name":"signet","type":"signet","agentSocket":"/run/x"}`))
	f.Add([]byte(`{"type":"signet","Type":"bridge"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		conf, err := parseConfig(data)
		if err == nil && (conf.Type != "signet" || !strings.HasPrefix(conf.AgentSocket, "/") || len(conf.AgentSocket) > maxSocketPath) {
			t.Errorf("accepted %q as %+v", data, conf)
		}
	})
}

func FuzzPodArgs(f *testing.F) {
	f.Add("IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=b.c")
	f.Add("CommonArgs=1")
	f.Fuzz(func(t *testing.T, args string) {
		pod, err := parsePod(args)
		if err == nil && strings.ContainsAny(string(pod.K8S_POD_NAMESPACE+pod.K8S_POD_NAME), "/ \x00\n_") {
			t.Errorf("accepted %q", args)
		}
	})
}
