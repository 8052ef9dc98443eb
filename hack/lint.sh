#!/bin/bash
# Run every check of the sources, and name those that failed: lint.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tests/kind/lib.sh"

golangci=v2.15.0
max_lines=400 # of a Go file

linter=$SIGNET_CACHE/golangci-lint-$golangci-$(go env GOVERSION)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$REPO"

# Files of the tree as it is, less what git ignores.
sources() { # PATTERN...
	git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
		[[ ! -f $file ]] || printf '%s\n' "$file"
	done
}

# Each check prints what is wrong and fails. (What runs before || heeds no set -e.)

golang() { "$linter/golangci-lint" run ./...; }

modules() { go mod tidy -diff && go mod verify >/dev/null; }

c_format() { sources 'enforce/bpf/*.[ch]' | xargs clang-format-14 --dry-run --Werror; }

shell() {
	{
		sources '*.sh'
		sources | xargs grep -lE '^#!(/usr/bin/env )?(/bin/)?(ba)?sh' --
	} | sort -u | xargs shellcheck
}

generated() {
	sources | xargs cp --parents -t "$scratch" &&
		"$REPO/hack/generate.sh" "$scratch" || return
	diff -r enforce/datapath "$scratch/enforce/datapath" && return
	echo "generated files are not current: make generate"
	return 1
}

length() {
	sources '*.go' | xargs grep -LE '^// Code generated .* DO NOT EDIT\.$' | xargs wc -l |
		awk -v max=$max_lines '$2 != "total" && $1 > max { print $2 ": " $1 " lines, more than " max; bad = 1 } END { exit bad }'
}

"$REPO/hack/packages.sh" clang-format-14=clang-format-14 shellcheck=shellcheck
if [[ ! -x $linter/golangci-lint ]]; then
	step "building golangci-lint $golangci" env GOBIN="$linter" CGO_ENABLED=0 GOFLAGS=-trimpath \
		go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$golangci"
fi

failed=()
for check in golang modules c_format shell generated length; do
	say "lint: $check"
	"$check" || failed+=("$check")
done
((${#failed[@]} == 0)) || die "failed: ${failed[*]}"
say "lint: nothing to complain about"
