// Package plane runs a real etcd and kube-apiserver, without controllers, for
// tests and measurements that need no kubelet.
package plane

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// readyTime is how long a start may take on a busy or emulated machine.
const readyTime = 10 * time.Minute

// Plane is a running control plane without controllers.
type Plane struct {
	// Kubeconfig is the path of an administrator's.
	Kubeconfig string
	// Address is the API server's, host:port.
	Address string

	dir       string
	token     string
	binaries  Binaries
	listen    string
	etcd      string    // its URL
	store     *exec.Cmd // etcd
	apiServer *exec.Cmd
}

// Binaries are the commands to run.
type Binaries struct{ Etcd, APIServer string }

// Start runs both in dir, which has to be empty, and waits until the API server
// is ready. listen is the address to serve at. They end with Stop.
func Start(ctx context.Context, dir, listen string, b Binaries) (*Plane, error) {
	p := &Plane{dir: dir, listen: listen, binaries: b}
	if err := p.start(ctx); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

func (p *Plane) start(ctx context.Context) error {
	ports, err := freePorts(p.listen, 3)
	if err != nil {
		return err
	}
	if err := p.credentials(); err != nil {
		return err
	}
	peer := "http://127.0.0.1:" + ports[1]
	p.etcd = "http://127.0.0.1:" + ports[0]
	p.store, err = p.run(p.binaries.Etcd, "etcd", "--data-dir", p.path("etcd"), "--unsafe-no-fsync=false", "--quota-backend-bytes", "8589934592",
		"--listen-client-urls", p.etcd, "--advertise-client-urls", p.etcd, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--log-level", "error")
	if err != nil {
		return err
	}
	p.Address = net.JoinHostPort(p.listen, ports[2])
	return p.StartAPI(ctx)
}

// StartAPI runs the API server, after StopAPI where it was and with what it
// knew, and waits until it is ready.
func (p *Plane) StartAPI(ctx context.Context) (err error) {
	_, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		return err
	}
	p.apiServer, err = p.run(p.binaries.APIServer, "kube-apiserver", "--etcd-servers", p.etcd, "--bind-address", p.listen, "--secure-port", port,
		"--advertise-address", p.listen, "--endpoint-reconciler-type", "none", "--cert-dir", p.path("certs"), "--token-auth-file", p.path("tokens"), "--authorization-mode", "RBAC",
		"--service-account-issuer", "https://signet.test", "--service-account-key-file", p.path("accounts.key"),
		"--service-account-signing-key-file", p.path("accounts.key"), "--service-cluster-ip-range", "10.96.0.0/16",
		"--disable-admission-plugins", "ServiceAccount", "--allow-privileged", "--max-requests-inflight", "2000",
		"--max-mutating-requests-inflight", "1000", "--profiling=false")
	if err != nil {
		return err
	}
	return p.waitReady(ctx)
}

func (p *Plane) path(name string) string { return filepath.Join(p.dir, name) }

// credentials writes the administrator's token and kubeconfig, and the key
// that service account tokens are signed with.
func (p *Plane) credentials() error {
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	p.token = hex.EncodeToString(secret)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return errors.Join(
		os.WriteFile(p.path("tokens"), []byte(p.token+",admin,admin,system:masters\n"), 0o600),
		os.WriteFile(p.path("accounts.key"), pem.EncodeToMemory(block), 0o600))
}

// Config gives a kubeconfig with a bearer token.
func (p *Plane) Config(token string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: plane
contexts: [{name: plane, context: {cluster: plane, user: user}}]
clusters: [{name: plane, cluster: {server: "https://%s", insecure-skip-tls-verify: true}}]
users: [{name: user, user: {token: "%s"}}]
`, p.Address, token)
}

// run starts a command that ends with Stop; its output goes to a log in dir.
func (p *Plane) run(binary, name string, args ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(p.path(name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	err = errors.Join(cmd.Start(), log.Close())
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return cmd, nil
}

// Apply puts a manifest in force, by kubectl.
func (p *Plane) Apply(ctx context.Context, kubectl, manifest string) error {
	out, err := exec.CommandContext(ctx, kubectl, "--kubeconfig", p.Kubeconfig, "apply", "-f", manifest).CombinedOutput()
	if err != nil {
		return fmt.Errorf("apply %s: %w: %s", manifest, err, out)
	}
	return nil
}

func (p *Plane) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for {
		err := p.ask(ctx, client)
		if err == nil {
			p.Kubeconfig = p.path("kubeconfig")
			return os.WriteFile(p.Kubeconfig, []byte(p.Config(p.token)), 0o600)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server is not ready (%w); its log is %s", err, p.path("kube-apiserver.log"))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (p *Plane) ask(ctx context.Context, client *http.Client) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+p.Address+"/readyz", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+p.token)
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // nothing is read
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("readyz says %s", answer.Status)
	}
	return nil
}

// StopAPI ends the API server; what it knew stays.
func (p *Plane) StopAPI() {
	end(p.apiServer)
	p.apiServer = nil
}

// Stop ends both commands.
func (p *Plane) Stop() {
	p.StopAPI()
	end(p.store)
	p.store = nil
}

// end ends a command that run has started, if there is one, by force after 5 s.
func end(cmd *exec.Cmd) {
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(unix.SIGTERM) // ended already, perhaps
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		_ = cmd.Process.Kill()
		<-done
	}
}

// freePorts gives ports that nobody has at the moment.
func freePorts(host string, count int) ([]string, error) {
	var ports []string
	for range count {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // all are held until all are known
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}
