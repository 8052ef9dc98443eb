package agents

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// explainConfig says what to do about a kubeconfig that cannot be used.
func explainConfig(err error) error {
	switch {
	case clientcmd.IsEmptyConfig(err):
		return errors.New("no kubeconfig: " +
			"give --kubeconfig, set KUBECONFIG, or run signet as root on a node")
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("kubeconfig: %w: give the right path with --kubeconfig", err)
	case strings.Contains(err.Error(), "does not exist"): // a context
		return fmt.Errorf("kubeconfig: %w: \"kubectl config get-contexts\" lists those there are", err)
	default:
		return fmt.Errorf("kubeconfig: %w", err)
	}
}

// explain says in one line what to do about a failed request.
func (c *Cluster) explain(err error, doing string) error {
	var bad x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &bad) && bad.Reason == x509.Expired:
		return fmt.Errorf("the certificate of the API server at %s has expired on %s: "+
			"renew it (\"kubeadm certs renew all\")", c.rest.Host, bad.Cert.NotAfter.Format(time.DateOnly))
	case errors.As(err, &unknown):
		return fmt.Errorf("the API server at %s is not the one of the kubeconfig: %w: get a new kubeconfig", c.rest.Host, unknown)
	case apierrors.IsUnauthorized(err), strings.Contains(err.Error(), "remote error: tls: "):
		return c.explainLogin(err)
	case apierrors.IsForbidden(err), strings.Contains(err.Error(), "forbidden"):
		return fmt.Errorf("not allowed to %s: the user of the kubeconfig needs the verbs "+
			"list on pods and create and get on pods/exec: %w", doing, err)
	case strings.Contains(err.Error(), "executable file not found"):
		return fmt.Errorf("%s: its image has no such command: is it of another release?", doing)
	case unreachable(err):
		return fmt.Errorf("the API server at %s does not answer: %w: is the cluster up, and is this the right context?",
			c.rest.Host, innermost(err))
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// explainLogin looks whether the user's certificate has expired.
func (c *Cluster) explainLogin(err error) error {
	if end, ok := certificateEnd(c.rest); ok && time.Now().After(end) {
		return fmt.Errorf("the client certificate of the kubeconfig has expired on %s: get a new kubeconfig",
			end.Format(time.DateOnly))
	}
	return fmt.Errorf("the API server at %s does not accept the user of the kubeconfig: %w: log in again",
		c.rest.Host, innermost(err))
}

func certificateEnd(config *rest.Config) (time.Time, bool) {
	data := config.CertData
	if len(data) == 0 && config.CertFile != "" {
		data, _ = os.ReadFile(config.CertFile) // without it there is no end
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return time.Time{}, false
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, false
	}
	return certificate.NotAfter, true
}

func unreachable(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, syscall.ECONNREFUSED)
}

// innermost removes the URL from an error of net/http.
func innermost(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
