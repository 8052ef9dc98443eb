# Tests against a real API server and etcd, on the loopback device.
.PHONY: test-api

test-api: ## admission, roles, schemas and watches against a real API server
	tests/control/control.sh go test -tags e2e -count=1 -run TestReal ./internal/kube
