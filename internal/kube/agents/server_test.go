package agents_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/signet-cni/signet/internal/kube/agents"
)

// apiServer is as much of an API server as the package talks to.
type apiServer struct {
	pods   []corev1.Pod
	nodes  []string
	refuse map[string]int // path -> HTTP status
	// run is a command in a pod: it writes to the session and gives its exit
	// code.
	run func(session *session, pod string, command []string) int
}

// ServeHTTP answers as an API server does.
func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const pods = "/api/v1/namespaces/kube-system/pods"
	if code, ok := s.refuse[r.URL.Path]; ok {
		refuse(w, code)
		return
	}
	switch path := r.URL.Path; {
	case path == pods, path == "/api/v1/pods":
		write(w, http.StatusOK, corev1.PodList{TypeMeta: kind("PodList"), Items: s.pods})
	case path == "/api/v1/nodes":
		list := corev1.NodeList{TypeMeta: kind("NodeList")}
		for _, name := range s.nodes {
			list.Items = append(list.Items, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
		}
		write(w, http.StatusOK, list)
	case strings.HasPrefix(path, pods+"/") && strings.HasSuffix(path, "/exec"):
		s.exec(w, r, strings.TrimSuffix(strings.TrimPrefix(path, pods+"/"), "/exec"))
	default:
		refuse(w, http.StatusNotFound)
	}
}

func kind(name string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: name} }

func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client's side is tested
}

func refuse(w http.ResponseWriter, code int) {
	reasons := map[int]metav1.StatusReason{
		http.StatusUnauthorized: metav1.StatusReasonUnauthorized, http.StatusForbidden: metav1.StatusReasonForbidden,
		http.StatusNotFound: metav1.StatusReasonNotFound,
	}
	write(w, code, metav1.Status{
		TypeMeta: kind("Status"), Status: metav1.StatusFailure, Code: int32(code),
		Reason: reasons[code], Message: "the test says no",
	})
}

// session is one command that runs.
type session struct {
	conn *websocket.Conn
}

func (s *session) write(channel byte, text string) {
	_ = s.conn.WriteMessage(websocket.BinaryMessage, append([]byte{channel}, text...)) // the client may have gone
}

// untilInputEnds waits for the end of the command's standard input.
func (s *session) untilInputEnds() {
	for {
		_, message, err := s.conn.ReadMessage()
		if err != nil || slices.Equal(message, []byte{remotecommand.StreamClose, remotecommand.StreamStdIn}) {
			return
		}
	}
}

func (s *apiServer) exec(w http.ResponseWriter, r *http.Request, pod string) {
	upgrader := websocket.Upgrader{Subprotocols: []string{remotecommand.StreamProtocolV5Name}}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client has been told
	}
	defer func() { _ = conn.Close() }()
	query := r.URL.Query()
	if query.Get("container") != "agent" || query.Get("stdin") != "true" {
		return
	}
	running := &session{conn: conn}
	end := metav1.Status{Status: metav1.StatusSuccess}
	if code := s.run(running, pod, query["command"]); code != 0 {
		end = metav1.Status{
			Status: metav1.StatusFailure, Reason: remotecommand.NonZeroExitCodeReason,
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{
				{Type: remotecommand.ExitCodeCauseType, Message: fmt.Sprint(code)},
			}},
		}
	}
	text, err := json.Marshal(end)
	if err != nil {
		panic(err)
	}
	running.write(remotecommand.StreamErr, string(text))
	_ = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
}

// serve starts s and gives the path of a kubeconfig for it.
func serve(t *testing.T, s *apiServer, change func(*clientcmdapi.Config)) string {
	t.Helper()
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	return kubeconfig(t, server.URL, certificatePEM(server.Certificate().Raw), change)
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func kubeconfig(t *testing.T, url string, ca []byte, change func(*clientcmdapi.Config)) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: ca}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: "secret"}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	config.CurrentContext = "test"
	if change != nil {
		change(config)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// expired makes a client certificate that has expired, and its key.
func expired(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "user"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return certificatePEM(der), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: bytes})
}

// connect connects to the cluster of a kubeconfig.
func connect(t *testing.T, path string) *agents.Cluster {
	t.Helper()
	cluster, err := agents.Connect(agents.Config{Kubeconfig: path})
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

func TestMain(m *testing.M) {
	_ = os.Unsetenv("KUBECONFIG") // no name is invalid
	os.Exit(m.Run())
}
