# The Python packages of the backend: the venv that uv makes of the lock file, without the project itself
# and the packages of its own tree, and without a single store path in it.
#
# A fixed output may refer to nothing, but what is compiled in here names libraries and the interpreter:
# strip-refs overwrites the hashes, authentik-django puts the paths of its own inputs in their place. The
# hash also depends on compiler and libraries: each package set has its own.
{
  lib,
  stdenv,
  build-tools,
  cacert,
  krb5,
  libffi,
  libpq,
  libtool,
  libxml2,
  libxslt,
  namedByInputs,
  openssl,
  packageSet,
  patchelf,
  pinnedHash,
  pins,
  pinsFile,
  pkg-config,
  python,
  sources,
  uv,
  xmlsec,
  zlib,
}:

let
  inherit (stdenv.hostPlatform) system;
  # until 2026.4 it had no name of the package set
  older = builtins.isString (pins.python.venv.${system} or null);
  key = [
    "python"
    "venv"
  ]
  ++ lib.optionals (!older) [ packageSet ]
  ++ [ system ];
  shownKey = lib.concatStringsSep "." key;
  hint = "warning: ${toString pinsFile}: `${shownKey}` is the hash for one package set: move it to `python.venv.${packageSet}.${system}`, from the next release on it is read there alone";
  pinned = pinnedHash {
    inherit key;
    component = "python-deps";
    what = "the backend's Python packages over ${packageSet} on ${system}";
  };
in
pinned.guarded (namedByInputs stdenv.mkDerivation {
  name = "python-deps-${sources.version}";
  inherit (sources) version;

  src = sources.python-lock;

  strictDeps = true;
  nativeBuildInputs = [
    build-tools
    cacert
    krb5
    libxml2
    libxslt
    patchelf
    pkg-config
    libpq.pg_config
    python
    uv
    xmlsec
  ];
  buildInputs = [
    krb5
    libffi
    libpq
    libtool
    libxml2
    libxslt
    openssl
    python
    xmlsec
    zlib
  ];

  impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "FETCH_PIP_CONF" ];
  outputHashMode = "recursive";
  outputHash = if older then builtins.trace hint pinned.hash else pinned.hash;

  # lists are texts in the phases below, whatever the package set's default
  __structuredAttrs = false;
  env = {
    # over nixpkgs the compiler would take the name of the output for one, which its hash has a part in
    NIX_OUTPATH_USED_AS_RANDOM_SEED = "python-deps";
    LDFLAGS = "-Wl,--build-id=none";
    # upstream's header for this is not found by gssapi's own search
    GSSAPI_COMPILER_ARGS = "-include gssapi/gssapi_ext.h";
    UV_LINK_MODE = "copy";
    UV_NO_PROGRESS = "1";
    UV_PYTHON_DOWNLOADS = "never";
  };

  # an attribute, not a part of the text below: to list the components is not to want an interpreter
  interpreter = python;
  tools = build-tools;
  gitPackages = map (name: "${name}=${sources.git-packages.${name}}") (
    builtins.attrNames sources.git-packages
  );
  checkGitPackages = ./git-packages.py;
  pinsName = baseNameOf (toString pinsFile);
  buildDependencies = ./build-dependencies.txt;
  sharedFiles = ./shared-files.py;
  # built with what others of the lock file install: its source wants the very lxml
  buildLast = [ "xmlsec" ];

  dontConfigure = true;
  buildPhase = ''
    runHook preBuild
    export HOME=$TMPDIR UV_CACHE_DIR=$TMPDIR/uv UV_PYTHON=$interpreter/bin/python3 UV_PROJECT_ENVIRONMENT=$out
    export SOURCE_DATE_EPOCH=315532800 PYTHONDONTWRITEBYTECODE=1
    # uv compiles each package in a folder whose name is another each time, and a package's own flags may
    # ask for debug information: what stands last holds
    for compiler in gcc g++; do
      printf '#!%s\nexec %s "$@" -g0 -ffile-prefix-map="$PWD"=.\n' "$SHELL" "$(type -p $compiler)" >$TMPDIR/$compiler
      chmod +x $TMPDIR/$compiler
    done
    export CC=$TMPDIR/gcc CXX=$TMPDIR/g++
    # What builds packages is pinned as well: uv would take the newest that there is, without a hash.
    export UV_NO_BUILD_ISOLATION=1
    uv pip install --quiet --python $UV_PYTHON --target $TMPDIR/build-dependencies \
      --no-deps --require-hashes --only-binary :all: --requirement $buildDependencies
    export PYTHONPATH=$TMPDIR/build-dependencies
    if [ ! -e uv.lock ]; then
      echo "there is no uv.lock: it is made from pyproject.toml, which pins all versions"
      uv lock
    elif ! timeout 60 uv lock --check 2>lock.txt && grep -q 'needs to be updated' lock.txt; then
      echo "uv.lock does not match pyproject.toml: \`uv lock\` mends it; the venv is pinned as \`${shownKey}\` in $pinsName" >&2
      cat lock.txt >&2
      exit 1
    fi
    if [ -e uv.lock ] && ! $interpreter/bin/python3 $checkGitPackages uv.lock $pinsName $gitPackages; then
      exit 1
    fi
    sync() {
      uv sync --frozen --no-install-project --no-install-workspace --no-dev ${
        lib.concatMapStringsSep " " (name: "--no-install-package ${name}") (builtins.attrNames sources.git-packages)
      } "$@"
    }
    later=()
    for package in $buildLast; do
      if grep -q "^name = \"$package\"$" uv.lock; then
        later+=(--no-install-package "$package")
      fi
    done
    if [ "''${#later[@]}" != 0 ]; then
      sync "''${later[@]}"
    fi
    if ! sync; then
      echo "what builds a package is not fetched by uv itself: a missing one belongs into containers/authentik/build-dependencies.in" >&2
      exit 1
    fi
    # A file that several packages bring is that of whichever uv installed last, which is a matter of chance: these are
    # installed again, one after the other.
    for package in $(PYTHONPATH= $interpreter/bin/python3 $sharedFiles $out/lib/python*/site-packages); do
      echo "$package brings files that another package brings, too: it is installed again"
      sync --reinstall-package "$package"
    done
    unset PYTHONPATH
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    # programs that wheels bring; what else is in bin/ is made anew from the metadata
    mkdir -p $out/libexec
    for program in $out/bin/*; do
      if [ ! -L $program ] && [ "$(head -c 4 $program | od -An -c | tr -d ' ')" = 177ELF ]; then
        mv $program $out/libexec/
      fi
    done
    # uv's notes about when and from where it installed
    find $out -name uv_cache.json -delete -o -name uv_build.json -delete -o -name direct_url.json -delete
    find $out -maxdepth 1 '(' -name .lock -o -name .gitignore -o -name CACHEDIR.TAG ')' -delete
    sed -i '/uv_cache\.json\|uv_build\.json\|direct_url\.json\|\.\.\/bin\//d' $out/lib/python*/site-packages/*.dist-info/RECORD
    build-tools strip-refs --venv $out --also $interpreter --also $tools
    # what RECORD says of compiled files was true before the paths went
    sed -i 's|\(\.so\),sha256=[^,]*,[0-9]*$|\1,,|' $out/lib/python*/site-packages/*.dist-info/RECORD
    build-tools strip-refs --check $out
    if grep -rlF $UV_CACHE_DIR $out; then
      echo "these files name the folder in which they were compiled: their hash would be another each time" >&2
      exit 1
    fi
    runHook postInstall
  '';
  dontFixup = true;

  passthru.pin = {
    file = pinsFile;
    inherit key;
  };

  meta = {
    description = "Python packages of authentik's backend";
    homepage = "https://goauthentik.io/";
    license = lib.licenses.mit;
  };
})
