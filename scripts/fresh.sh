#!/usr/bin/env bash
# Tests the committed project on a fresh machine: a minimal Debian with only the packages that the
# README's `apt install` lines name. Run it manually before a release, as root.
#
#   scripts/fresh.sh serve    clone, `make serve` as an ordinary user, one request, stop
#   scripts/fresh.sh test     clone, `make test` as an ordinary user
#   scripts/fresh.sh image    the steps of deploy/Dockerfile (target cpu), then `spar serve` in it
#
# Needs mmdebstrap, and for `image` buildah. WORK (default /var/tmp/spar-fresh) holds the root file
# systems, 10 GB each: delete it afterwards. They are reused; the user's home and the images are
# recreated. The host's package sources, proxies, package indexes and certificates are used inside
# too, from its configuration files and environment. docs/fresh-machine.md has its output.
set -euo pipefail

project=$(cd "$(dirname "$0")/.." && pwd)
work=${WORK:-/var/tmp/spar-fresh}
home=/home/spar

# In separate namespaces, so that its mounts and processes end with it.
if [ -z "${SPAR_FRESH_INSIDE:-}" ]; then
    [ "$(id -u)" = 0 ] || { echo "error: root is needed" >&2; exit 1; }
    exec env SPAR_FRESH_INSIDE=1 unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@"
fi

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }

# The host's environment variables for package access, one NAME=VALUE per line.
passed() {
    env | grep -E '^((https?|all|no)_proxy|(HTTPS?|ALL|NO)_PROXY|PIP_|UV_|SSL_CERT_|[A-Z_]+_CA_BUNDLE)' |
        grep -vE '^(PIP|UV)_CACHE_DIR=' || true
}

# Configuration files of pip and uv, the host's and the user's.
configurations() {
    for file in /etc/pip.conf /etc/uv/uv.toml "${PIP_CONFIG_FILE:-}" \
        "$HOME/.config/pip/pip.conf" "$HOME/.config/uv/uv.toml"; do
        [ -f "$file" ] && echo "$file"
    done
    true
}

# Files and folders named there: local indexes, certificates.
named_paths() {
    {
        { passed; configurations | xargs -r cat; } | grep -oE '/[^][ ,;:"'"'"'=]+' | sed 's|^//*|/|'
        printf '%s\n' /usr/share/ca-certificates /usr/local/share/ca-certificates
    } | sort -u | while read -r path; do
        [ "$path" != / ] && [ -e "$path" ] && echo "$path"
    done | awk 'BEGIN { parent = "-" } index($0, parent) != 1 { print; parent = $0 "/" }'
}

# bind HOST_PATH TARGET: mount it read-only.
bind() {
    if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")" && touch "$2"; fi
    mount --bind -o ro "$1" "$2"
}

# debian ROOT PACKAGES: a minimal Debian from the host's package sources.
debian() {
    if [ -e "$1" ] && [ "$(cat "$1.packages" 2> /dev/null)" = "$2" ]; then
        say "reusing the minimal Debian with $2"
        return
    fi
    rm -rf --one-file-system "$1" && mkdir -p "$work"
    local sources=() options="$work/apt.conf"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [ -s "$file" ] && sources+=("$file")
    done
    apt-config dump | grep -E '^Acquire::https?::' > "$options" || true
    say "minimal Debian with $2"
    mmdebstrap --quiet --variant=minbase --include="${2// /,}" --aptopt="$options" \
        "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$1.part" "${sources[@]}" 2> "$work/debian.log" ||
        { cat "$work/debian.log" >&2; exit 1; }
    mv "$1.part" "$1" && echo "$2" > "$1.packages"
    say "made: $(du -sh "$1" | cut -f1), $(chroot "$1" dpkg-query -f '.' -W | wc -c) packages"
}

# machine ROOT: mount the system's file systems and the host's package configuration.
machine() {
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    bind /sys "$1/sys"
    mount -t tmpfs -o mode=1777 tmp "$1/tmp"
    cp /etc/resolv.conf /etc/hosts "$1/etc/"
    named_paths | while read -r path; do bind "$path" "$1$path"; done
    configurations | while read -r file; do
        case $file in "$HOME"/*) target="$1$home/${file#"$HOME"/}" ;; *) target="$1$file" ;; esac
        mkdir -p "$(dirname "$target")" && cp "$file" "$target"
    done
}

# as_user ROOT COMMAND...: run it in the clone, as the ordinary user, without the host's environment.
as_user() {
    local root=$1 variables
    shift
    mapfile -t variables < <(passed)
    exec chroot --userspec=1000:1000 "$root" env -i HOME=$home USER=spar LANG=C.UTF-8 \
        PATH=/usr/local/bin:/usr/bin:/bin "${variables[@]}" sh -c 'cd ~/spar && exec "$@"' sh "$@"
}

# user ROOT: prepare a machine with a fresh clone owned by an ordinary user.
user() {
    debian "$1" "$(sed -n 's/^ *\(sudo \)\?apt install \([^#]*\).*/\2/p' "$project/README.md" | xargs)"
    rm -rf "$1$home"
    chroot "$1" id spar > /dev/null 2>&1 || chroot "$1" useradd --uid 1000 spar
    mkdir -p "$1$home"
    git -c safe.directory='*' clone --quiet --no-hardlinks "$project" "$1$home/spar"
    say "cloned $(git -c safe.directory='*' -C "$project" log -1 --format='%h %s')"
    machine "$1"
    chroot "$1" chown -R spar:spar $home
}

# answers URL PID: wait until a server is ready; fail if its process ends first.
answers() {
    until python3 -c "import urllib.request as u; u.urlopen('$1/readyz', timeout=5)" 2> /dev/null; do
        kill -0 "$2" 2> /dev/null || { say "the server has ended"; return 1; }
        sleep 2
    done
}

free_port() { python3 -c 'import socket; s = socket.create_server(("", 0)); print(s.getsockname()[1])'; }

# asked URL: send one request.
asked() {
    python3 - "$1" <<'PYTHON'
import json, sys, urllib.request
body = {"prompt": "Name three colours.", "mode": "best_of_n", "search": {"n": 2}, "sampling": {"max_tokens": 24}}
call = urllib.request.Request(sys.argv[1] + "/generate", json.dumps(body).encode(), {"content-type": "application/json"})
answer = json.load(urllib.request.urlopen(call, timeout=600))
print(f"  {answer['response']!r}, value {answer['value']}, {answer['usage']['nodes']} nodes, {answer['timing_ms'] / 1000:.1f} s")
PYTHON
}

serve() {
    local root="$work/user" port began pid
    user "$root"
    began=$SECONDS
    port=$(free_port)
    say "\$ make serve PORT=$port"
    (as_user "$root" make serve "PORT=$port") & pid=$!
    answers "http://127.0.0.1:$port" $pid
    say "ready after $((SECONDS - began)) s; .venv is $(du -sh "$root$home/spar/.venv" | cut -f1)"
    asked "http://127.0.0.1:$port"
    kill $pid && wait $pid || say "ended with status $?"
}

tests() {
    local began
    user "$work/user"
    began=$SECONDS
    say '$ make test'
    (as_user "$work/user" make test)
    say "make test passed after $((SECONDS - began)) s"
}

image() {
    local base began=$SECONDS container volumes=() environment=() port pid clone="$work/context"
    base=$(sed -n 's/^FROM \(.*\) AS base$/\1/p' "$project/deploy/Dockerfile")
    # Replaces the Dockerfile's Python base image.
    debian "$work/python" "python3 python3-venv ca-certificates"
    ln -sf python3 "$work/python/usr/bin/python"
    rm -rf "$clone"
    git -c safe.directory='*' clone --quiet "$project" "$clone"
    while read -r path; do volumes+=(--volume "$path:$path:ro"); done < <(named_paths)
    while read -r file; do volumes+=(--volume "$file:$file:ro"); done < <(configurations)
    while read -r variable; do environment+=(--env "$variable"); done < <(passed)
    export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
    local buildah=(buildah --root "$work/storage" --runroot "$work/run")
    container=$("${buildah[@]}" from scratch)
    "${buildah[@]}" add --quiet "$container" "$work/python" / > /dev/null
    "${buildah[@]}" commit --quiet --rm "$container" "localhost/$base" > /dev/null
    say "\$ docker build -f deploy/Dockerfile --target cpu -t spar:cpu ."
    "${buildah[@]}" build --pull-never "${volumes[@]}" "${environment[@]}" --target cpu \
        --tag spar:cpu --file "$clone/deploy/Dockerfile" "$clone"
    say "built after $((SECONDS - began)) s"
    container=$("${buildah[@]}" from --pull-never "${volumes[@]}" spar:cpu)
    port=$(free_port)
    say "\$ docker run spar:cpu"
    ("${buildah[@]}" run --env "SPAR_PORT=$port" "$container" -- spar serve) & pid=$!
    answers "http://127.0.0.1:$port" $pid
    say "ready after $((SECONDS - began)) s"
    asked "http://127.0.0.1:$port"
    kill $pid
}

[ $# -gt 0 ] || set -- serve test image
for part in "$@"; do
    case $part in
        serve) (serve) ;;
        test) (tests) ;;
        image) (image) ;;
        *) echo "error: $part is not one of serve, test, image" >&2; exit 2 ;;
    esac
done
