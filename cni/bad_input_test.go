package cni_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAbsentAgent(t *testing.T) {
	a := newAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "early")
	start := time.Now()
	p.do("ADD").wantError(t, 11, "agent", "absent", a.socket())
	if took := time.Since(start); took < 5*time.Second || took > 12*time.Second {
		t.Errorf("ADD gave up after %v", took)
	}
	if got := p.links(t); len(got) != 1 || len(hostLinks(t)) != 0 {
		t.Errorf("interfaces %v left in the pod, %v on the host", got, hostLinks(t))
	}
	p.do("GC").wantError(t, 11, "absent")
	p.do("DEL").wantOK(t)
}

func TestLateAgent(t *testing.T) {
	a := newAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "patient")
	late := make(chan outcome)
	go func() { late <- p.do("ADD") }()
	time.Sleep(700 * time.Millisecond)
	a.start(t)
	if got := <-late; got.code != 0 {
		t.Errorf("ADD: %+v", got)
	}
	p.do("DEL").wantOK(t)
	a.wantNothing(t)
}

func TestBadConfiguration(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "strict")
	good := p.conf("")
	edit := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	tests := []struct {
		name, conf string
		code       uint
		words      string
	}{
		{"empty", "", 6, "unmarshall network config"},
		{"cut off", good[:20], 6, "unmarshall network config"},
		{"no object", "[]", 6, "unmarshall network config"},
		{"no name", edit(`"name":"signet",`, ``), 7, "missing network name"},
		{"unknown field", edit(`"name"`, `"mtu":1400,"name"`), 2, `"mtu"`},
		{"field in capitals", edit(`"type"`, `"agentsocket":"/x","type"`), 2, `"agentsocket"`},
		{"wrong type of a field", edit(`"name"`, `"capabilities":[],"name"`), 6, "malformed"},
		{"another plugin", edit(`"type":"signet"`, `"type":"bridge"`), 7, `type is "bridge"`},
		{"relative socket", edit(a.socket(), "cni.sock"), 7, "agentSocket"},
		{"unclean socket", edit(a.socket(), "/run/../cni.sock"), 7, "agentSocket"},
		{"long socket", edit(a.socket(), "/"+strings.Repeat("s", 120)), 7, "agentSocket"},
		{"unknown capability", edit(`"name"`, `"capabilities":{"portMappings":true},"name"`), 7, "portMappings"},
		{"not the first plugin", edit(`"name"`, `"prevResult":{"cniVersion":"1.1.0"},"name"`), 7, "first plugin"},
		{"old version", edit("1.1.0", "0.3.1"), 1, "incompatible CNI versions"},
		{"no version", edit(`"cniVersion":"1.1.0",`, ""), 1, "incompatible CNI versions"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.call("ADD", tt.conf).wantError(t, tt.code, tt.words)
			a.wantNothing(t)
		})
	}
}

func TestBadEnvironment(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	const args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=concert;K8S_POD_NAME="
	tests := []struct {
		name   string
		change func(*pod)
		code   uint
		words  string
	}{
		{"no CNI_ARGS", func(p *pod) { p.args = "" }, 4, "Kubernetes pods only"},
		{"no pod", func(p *pod) { p.args = "K8S_POD_NAMESPACE=concert" }, 4, "K8S_POD_NAME"},
		{"malformed CNI_ARGS", func(p *pod) { p.args = "K8S_POD_NAME" }, 4, "malformed"},
		{"unknown argument", func(p *pod) { p.args = "X=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=b" }, 4, "X=1"},
		{"pod name", func(p *pod) { p.args = args + "../../etc" }, 4, "invalid pod name"},
		{"long pod name", func(p *pod) { p.args = args + strings.Repeat("a", 254) }, 4, "253"},
		{"namespace", func(p *pod) { p.args = "K8S_POD_NAMESPACE=A_B;K8S_POD_NAME=b" }, 4, "invalid pod namespace"},
		{"uid", func(p *pod) { p.args = args + "b;K8S_POD_UID=$(id)" }, 4, "invalid pod uid"},
		{"container id", func(p *pod) { p.id = "../c" }, 4, "containerID"},
		{"long container id", func(p *pod) { p.id = strings.Repeat("c", 129) }, 4, "invalid container id"},
		{"reserved interface", func(p *pod) { p.env = []string{"CNI_IFNAME=all"} }, 4, "reserved by the kernel"},
		{"interface with a tab", func(p *pod) { p.env = []string{"CNI_IFNAME=a\x01b"} }, 4, "invalid interface name"},
		{"no such namespace", func(p *pod) { p.env = []string{"CNI_NETNS=/run/netns/none"} }, 8, "network namespace"},
		{"a file for a namespace", func(p *pod) { p.env = []string{"CNI_NETNS=/etc/hostname"} }, 8, "network namespace"},
		{"the host's namespace", func(p *pod) { p.env = []string{"CNI_NETNS=/proc/self/ns/net"} }, 8, "plugin's own"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPod(t, a, "strict")
			tt.change(p)
			p.do("ADD").wantError(t, tt.code, tt.words)
			a.wantNothing(t)
		})
	}
}

// The agent believes no request, though only root can make one.
func TestBadRequests(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	const pod = `"namespace":"concert","pod":"vip"`
	tests := []struct {
		name, method, path, body string
		words                    string
	}{
		{"no body", "POST", "/v1/endpoints/c/eth0", "", "EOF"},
		{"unknown field", "POST", "/v1/endpoints/c/eth0", `{"version":2,` + pod + `,"addr":"198.18.1.9"}`, "unknown field"},
		{"other version", "POST", "/v1/endpoints/c/eth0", `{"version":1,` + pod + `}`, "version 1"},
		{"no version", "POST", "/v1/endpoints/c/eth0", `{` + pod + `}`, "version 0"},
		{"null", "POST", "/v1/endpoints/c/eth0", `null`, "version 0"},
		{"trailing data", "POST", "/v1/endpoints/c/eth0", `{"version":2,` + pod + `}{}`, "data after"},
		{"too long", "POST", "/v1/endpoints/c/eth0", `{"version":2,"pod":"` + strings.Repeat("a", 2<<20) + `"}`, "exceeds"},
		{"no pod", "POST", "/v1/endpoints/c/eth0", `{"version":2}`, "invalid pod namespace"},
		{"container id", "POST", "/v1/endpoints/..%2Fc/eth0", `{"version":2,` + pod + `}`, "invalid container id"},
		{"interface", "DELETE", "/v1/endpoints/c/default", "", "reserved"},
		{"attach without a lease", "PUT", "/v1/endpoints/c/eth0", `{"version":2,"hostIfIndex":5,"hostMAC":"02:00:00:00:00:01","podMAC":"02:00:00:00:00:02"}`, "no address is reserved"},
		{"GC of nonsense", "POST", "/v1/gc", `{"version":2,"valid":[{"containerID":"..","ifname":"eth0"}]}`, "invalid container id"},
		{"unknown path", "GET", "/v2/status", "", "does not know"},
		{"unknown method", "PATCH", "/v1/status", "", "does not know"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := request(t, a.socket(), tt.method, tt.path, tt.body)
			if status < 400 || !strings.Contains(body, tt.words) {
				t.Errorf("answer %d %s, want %q", status, body, tt.words)
			}
			a.wantNothing(t)
		})
	}
	t.Run("bad link", func(t *testing.T) {
		request(t, a.socket(), "POST", "/v1/endpoints/c/eth0", `{"version":2,`+pod+`}`)
		for _, link := range []string{`"hostIfIndex":0,"hostMAC":"02:00:00:00:00:01"`, `"hostIfIndex":5,"hostMAC":"03:00:00:00:00:01"`, `"hostIfIndex":5,"hostMAC":"x"`} {
			status, body := request(t, a.socket(), "PUT", "/v1/endpoints/c/eth0", `{"version":2,"podMAC":"02:00:00:00:00:02",`+link+`}`)
			if status != 500 || len(a.network.names()) != 0 {
				t.Errorf("%s: answer %d %s", link, status, body)
			}
		}
		request(t, a.socket(), "DELETE", "/v1/endpoints/c/eth0", "")
		a.wantNothing(t)
	})
}

// request sends bytes as they are, which the plugin's client would not.
func request(t *testing.T, socket, method, path, body string) (int, string) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	go func() { // the agent may answer before it has read all
		_, _ = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body)
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func TestSocketIsPrivate(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	info, err := os.Stat(a.socket())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, dir := range []string{"endpoints", "ipam"} {
		p := newPod(t, a, "maker")
		p.add(t)
		if info, err := os.Stat(a.dir + "/" + dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, %v", dir, info.Mode(), err)
		}
		p.do("DEL").wantOK(t)
	}
	files, err := os.ReadDir(a.dir)
	if err != nil || len(files) != 3 {
		t.Errorf("files %v, %v", files, err)
	}
}

// Should the mode ever let another user in, the agent does not answer it.
func TestOtherUsersAreRefused(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	if err := errors.Join(os.Chmod(a.socket(), 0o666), os.Chmod(filepath.Dir(a.dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[int]string{0: "HTTP/1.1 200 OK", 65534: ""} {
		got := make(chan string)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with its user
			if err := setThreadUser(uid); err != nil {
				got <- err.Error()
				return
			}
			got <- firstLine(a.socket())
		}()
		if line := <-got; line != want {
			t.Errorf("uid %d got %q, want %q", uid, line, want)
		}
	}
}

// setThreadUser changes the user of the calling thread only.
func setThreadUser(uid int) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
		return errno
	}
	return nil
}

// firstLine returns the first line of the answer to STATUS, or nothing if the
// connection ends without one.
func firstLine(socket string) string {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line)
}
