package worker

import (
	"context"
	"os"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientapi "k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfig writes to a file of the node's the kubeconfig that a pod of the
// account would have there: its token names the node.
func (n *Node) Kubeconfig(ctx context.Context, account, file string) error {
	object, err := n.cfg.Core.CoreV1().Nodes().Get(ctx, n.cfg.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	ask := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{
		BoundObjectRef: &authv1.BoundObjectReference{Kind: "Node", APIVersion: "v1", Name: object.Name, UID: object.UID},
	}}
	token, err := n.cfg.Core.CoreV1().ServiceAccounts("kube-system").CreateToken(ctx, account, ask, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	config, err := clientcmd.LoadFromFile(os.Getenv("SIGNET_TEST_KUBECONFIG"))
	if err != nil {
		return err
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientapi.AuthInfo{Token: token.Status.Token}
	}
	return clientcmd.WriteToFile(*config, n.Path(file))
}
