# fetch-place.sh KIND WHAT VERSION [PATH...]: brings what one place has into the folder `got`, with the
# ordinary client of that kind of place; at least what lies at the paths, if any are given. Fails when the
# place can't be reached or hasn't got it.
kind="$1" what="$2" version="$3"
paths=("${@:4}")

case "$kind" in
  git)
    ref="$version"
    if [[ $version =~ ^[0-9a-f]{40}$ ]]; then
      # a commit has no name to ask for
      ref=HEAD
    fi
    # a host that doesn't answer at all must not hold up the next place for minutes
    timeout 20 git ls-remote --exit-code "$what" "$ref" >/dev/null
    git init --quiet got
    git -C got remote add place "$what"
    if [ ${#paths[@]} != 0 ]; then
      # The files come when they are checked out, and only those; from a server that can't do it, all at once.
      git -C got config remote.place.promisor true
      git -C got config remote.place.partialclonefilter blob:none
      git -C got sparse-checkout set --no-cone "${paths[@]/#//}"
    fi
    # not every server gives a commit by itself
    timeout 600 git -C got fetch --quiet --depth 1 place "$version" ||
      { [ "$ref" = HEAD ] && timeout 600 git -C got fetch --quiet place '+refs/*:refs/places/*' &&
        git -C got rev-parse --verify "$version^{commit}" >got/.git/FETCH_HEAD; }
    timeout 600 git -C got -c advice.detachedHead=false checkout --quiet FETCH_HEAD
    for path in "${paths[@]}"; do
      # a link on the way to it may lead anywhere
      [ -e "got/$path" ] || timeout 600 git -C got sparse-checkout disable
    done
    rm -rf got/.git
    ;;
  npm)
    npm pack --silent --fetch-retries 1 "$what@$version" >/dev/null
    mkdir got
    tar xf ./*.tgz -C got --strip-components=1
    rm ./*.tgz
    ;;
  go)
    # the hash of the pin is what vouches for the content
    export GOPATH="$PWD/gopath" GOFLAGS=-modcacherw GOSUMDB=off GOTOOLCHAIN=local
    mkdir -p gomod
    (cd gomod && go mod download -x "$what@$version")
    mv "gopath/pkg/mod/$what@$version" got
    ;;
  pypi)
    pip download --quiet --cert "$SSL_CERT_FILE" --no-cache-dir --no-deps --only-binary :all: --dest wheel "$what==$version"
    mkdir got
    unzip -q wheel/*.whl -d got
    ;;
  file)
    cp -r "$what" got
    chmod -R u+w got
    ;;
esac
