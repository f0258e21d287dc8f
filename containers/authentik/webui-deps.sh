# webui-deps.sh LOCK NPM OUT: the node_modules folders that `npm ci` makes of a workspace, each at its
# place below OUT, which must not exist yet.
#
# LOCK is a folder with package.json, package-lock.json and the package.json of each workspace; NPM the
# unpacked npm package to use; `node` is on PATH. What comes out depends on these alone, not on the npm
# configuration, cache, locale or umask of whoever runs it, inside of Nix or not: only settings that say
# how to connect are taken over. `explain`, if set, is a script that says what npm's errors mean here.
set -euo pipefail
shopt -s nullglob
umask 022
lock=$1 npm=$2/bin/npm-cli.js out=$3

scratch=$(mktemp -d)
# there may be a login in it: in memory, where there is some for files
npmrc=$(mktemp -p /dev/shm 2>/dev/null || mktemp)
made=
finish() {
  local status=$?
  rm -rf "$scratch" "$npmrc"
  if [ "$status" != 0 ] && [ -n "$made" ]; then
    rm -rf "$out"
  fi
}
trap finish EXIT

wanted=$(node -p 'require(process.argv[1]).engines?.node ?? "*"' "$lock/package.json")
if ! node -e 'process.exit(require(process.argv[1]).satisfies(process.version, process.argv[2]) ? 0 : 1)' \
  "$2/node_modules/semver" "$wanted"; then
  echo "webui-deps: Node $(node --version) is not what the web UI's package.json wants (\`engines.node\`: $wanted)" >&2
  exit 1
fi

# Of npm's own settings, those that say how to connect.
config=${NPM_CONFIG_USERCONFIG:-${npm_config_userconfig:-${HOME:-/nowhere}/.npmrc}}
if [ -r "$config" ]; then
  { grep -E '^[[:space:]]*(registry|@[^:]+:registry|//[^=]+|proxy|http-proxy|https-proxy|noproxy|strict-ssl|fetch-[a-z-]+)[[:space:]]*=' "$config" || true; } \
    >"$npmrc"
fi
keep=()
for name in PATH TMPDIR NODE_EXTRA_CA_CERTS SSL_CERT_FILE http_proxy https_proxy all_proxy no_proxy HTTP_PROXY \
  HTTPS_PROXY ALL_PROXY NO_PROXY npm_config_registry NPM_CONFIG_REGISTRY; do
  if [ -n "${!name:-}" ]; then
    keep+=("$name=${!name}")
  fi
done

mkdir "$out"
made=1
cp "$lock/package.json" "$lock/package-lock.json" "$out/"
for manifest in "$lock"/packages/*/package.json; do
  folder=$out/packages/$(basename "$(dirname "$manifest")")
  mkdir -p "$folder"
  cp "$manifest" "$folder/"
done
if [ -d "$lock/packed" ]; then
  cp -r "$lock/packed" "$out/packed"
fi
chmod -R u+w "$out"

cd "$out"
status=0
env -i "${keep[@]}" HOME="$scratch" LC_ALL=C TZ=UTC \
  node "$npm" ci --ignore-scripts --userconfig "$npmrc" --globalconfig "$scratch/none" \
  --cache "$scratch/cache" --prefix "$out" --no-audit --no-fund --no-progress --no-update-notifier \
  --loglevel warn || status=$?
if [ "$status" != 0 ]; then
  if [ -n "${explain:-}" ]; then
    node "$explain" "$lock/package-lock.json" "$scratch"/cache/_logs/*.log >&2 || true
  fi
  exit "$status"
fi
cd "$scratch"

# What npm notes for itself, and all that is no node_modules folder.
find "$out" -name node_modules -prune -exec rm -f '{}/.package-lock.json' ';'
find "$out" -name node_modules -prune -o '!' -type d -exec rm -f '{}' +
find "$out" -name node_modules -prune -o -type d -print0 | sort -rz | xargs -0 rmdir --ignore-fail-on-non-empty
if [ ! -d "$out" ]; then
  mkdir "$out"
fi
