#!/usr/bin/env bash
# Builds the real Kubernetes programs that tests compare with or run on, from the Go modules pinned in the mod-*
# folders: build.sh PROGRAM... (etcd, helm, e2e.test, kube-apiserver, ...). Prints the folder with the binaries;
# builds nothing twice. Fails with a message if Go is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/support/go.sh
source "$here/../support/go.sh"
kubernetes=$(sed -n 's/^require k8s.io\/kubernetes //p' "$here/mod-kubernetes/go.mod")
helm=$(sed -n 's/^\thelm.sh\/helm\/v3 \(v[0-9.]*\).*/\1/p' "$here/mod-helm/go.mod")

# The version is only shown, by `kubectl version` and in Node objects.
version_flags() {
    local package=k8s.io/component-base/version number=${kubernetes#v}
    printf -- '-s -w -X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s' "$package" "$kubernetes" \
        "$package" "${number%%.*}" "$package" "$(cut -d. -f2 <<<"$number")"
}

# Kubernetes' own programs share most packages, so one command builds all missing ones.
build_kubernetes() {
    "$go" -C "$here/mod-kubernetes" build -ldflags="$(version_flags)" -o "$bin/partial/" \
        "${@/#/k8s.io/kubernetes/cmd/}"
}

build() {
    say "building $* (minutes, once)"
    mkdir -p "$bin/partial"
    case $1 in
    etcd) "$go" -C "$here/mod-etcd" build -ldflags="-s -w" -o "$bin/partial/etcd" go.etcd.io/etcd/server/v3 ;;
    helm) "$go" -C "$here/mod-helm" build -ldflags="-s -w -X helm.sh/helm/v3/internal/version.version=$helm" \
        -o "$bin/partial/helm" helm.sh/helm/v3/cmd/helm ;;
    e2e.test) "$go" -C "$here/mod-kubernetes" test -c -ldflags="$(version_flags)" -o "$bin/partial/e2e.test" \
        k8s.io/kubernetes/test/e2e ;;
    kube*) build_kubernetes "$@" ;;
    *) fail "unknown program $1" ;;
    esac
    mv "$bin"/partial/* "$bin/"
}

missing() { [[ ! -x $bin/$1 ]]; }

bin=$(cache_folder kubernetes "$here")
mkdir -p "$bin"
# The lock makes concurrent runs build only once.
exec 9>"$bin/.lock"
flock 9
own=() others=()
for program in "$@"; do
    if missing "$program"; then
        case $program in kube*) own+=("$program") ;; *) others+=("$program") ;; esac
    fi
done
if ((${#own[@]} + ${#others[@]})); then
    go=$(find_go "$here/mod-helm")
    export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false"
    if ((${#own[@]})); then build "${own[@]}"; fi
    for program in "${others[@]}"; do build "$program"; done
fi
printf '%s\n' "$bin"
